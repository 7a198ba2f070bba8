"""The chain store's tests once more, on PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from test_chain_store import *  # noqa: F403


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A PostgreSQL of its own on a Unix socket; a function that makes a new database and gives its URL."""
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("no PostgreSQL on this machine (initdb, pg_ctl)")
    user = "nobody" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
    with tempfile.TemporaryDirectory(prefix="fwchain-pg-", dir="/tmp") as folder:
        if user is not None:
            shutil.chown(folder, user)

        def control(*command: str) -> None:
            done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr

        data = f"{folder}/data"
        control("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        control("pg_ctl", "-D", data, "-w", "-o", options, "-l", f"{folder}/log", "start")
        try:
            made: list[str] = []
            admin = sa.create_engine(f"postgresql+psycopg://postgres@/postgres?host={folder}")

            def new() -> str:
                made.append(f"chain{len(made)}")
                with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.execute(sa.text(f"CREATE DATABASE {made[-1]}"))
                return f"postgresql+psycopg://postgres@/{made[-1]}?host={folder}"

            yield new
            admin.dispose()
        finally:
            control("pg_ctl", "-D", data, "-m", "immediate", "stop")


@pytest.fixture
def place(postgresql: Callable[[], str]) -> str:
    """A new database: its URL."""
    return postgresql()
