"""Backup and restore of a network folder and its store: one file, checked as a whole before anything is put in place.

The file is a tar (gzip) of mode 0600, since it holds private keys. First in it is `manifest.json`: the network's
name and genesis, and the SHA-256 of every other member. The store is copied out of the database in one transaction,
as a SQLite file, whatever the database is; it is read before the files of the releases, which exist before their rows.
A verification node may run meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa

from fwchain import __version__, files
from fwchain.chainstore import schema
from fwchain.errors import HostError, SetupError
from fwchain.network import Network, load
from fwchain.verification import releases, waves

MANIFEST = "manifest.json"
STORE = "store.sqlite"
FOLDER = "network/"
TABLES = (schema.metadata, releases.metadata, waves.metadata)
ROWS = 500  # rows copied at a time
MAX_MEMBER = 1 << 31
MAX_MANIFEST = 1 << 24


class BackupError(HostError):
    """The backup cannot be made, or the file is damaged or no backup."""


def backup(network: Network, path: Path) -> dict[str, Any]:
    """Write a backup of `network` to a new file; returns its manifest. Raises BackupError or SetupError."""
    if path.exists():
        raise SetupError(f"{path} is there already: give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.named(path), tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup-") as work:
        members: dict[str, Path] = {}
        store = Path(work, STORE)
        if _dump(network.database, store):
            members[STORE] = store
        for file in sorted(network.folder.rglob("*")):
            if file.is_file() and not _is_database(file, network):
                members[FOLDER + file.relative_to(network.folder).as_posix()] = file
        snapshot = {name: file.read_bytes() for name, file in members.items() if name.endswith((".jsonl", ".state"))}
        manifest = {
            "fwchain": __version__,
            "network": network.name,
            "genesis": network.genesis.hash.hex(),
            "made": int(time.time()),
            "files": {name: _digest(snapshot.get(name, file)) for name, file in members.items()},
        }
        made = Path(work, "backup")
        with (
            os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
            tarfile.open(fileobj=out, mode="w:gz") as tar,
        ):
            _add(tar, MANIFEST, json.dumps(manifest, indent=1).encode())
            for name, file in members.items():
                _add(tar, name, snapshot[name] if name in snapshot else file.read_bytes())
        os.link(made, path)  # fails where somebody made it meanwhile
    return manifest


def restore(path: Path, folder: Path) -> Network:
    """Put a backup into `folder`, which must be new or empty; raises BackupError or SetupError.

    The store goes to where the restored configuration says: a SQLite file, or an empty database.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SetupError(f"{folder} is there already and is not empty: give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        manifest = _unpack(path, work)
        place = work / FOLDER
        network = load(place)
        if network.genesis.hash.hex() != manifest.get("genesis"):
            raise BackupError(f"{path}: its genesis is not the one that its manifest names")
        if (work / STORE).exists():
            _undump(work / STORE, network.database)
        place.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        place.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return load(folder)


def _unpack(path: Path, work: Path) -> dict[str, Any]:
    try:
        with tarfile.open(path, "r:gz") as tar:
            first = tar.next()
            if first is None or first.name != MANIFEST or first.size > MAX_MANIFEST:
                raise BackupError(f"{path} is no backup of a network: it has no {MANIFEST}")
            manifest: dict[str, Any] = json.loads(_content(tar, first))
            wanted: dict[str, str] = dict(manifest["files"])
            while (member := tar.next()) is not None:
                digest = wanted.pop(member.name, None)
                if digest is None or not _is_safe(member):
                    raise BackupError(f"{path}: {member.name!r} does not belong into a backup")
                data = _content(tar, member)
                if hashlib.sha256(data).hexdigest() != digest:
                    raise BackupError(f"{path}: {member.name} is damaged (its SHA-256 is not the manifest's)")
                _write(work / member.name, data, member.mode & 0o700 | 0o600)
    except FileNotFoundError:
        raise SetupError(f"{path}: there is no such file") from None
    except (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} is damaged, or no backup: {error}") from error
    if wanted:
        raise BackupError(f"{path} is cut short: {next(iter(wanted))} is missing")
    return manifest


def _is_safe(member: tarfile.TarInfo) -> bool:
    parts = PurePosixPath(member.name).parts
    named = member.name == STORE or member.name.startswith(FOLDER)
    return member.isfile() and named and ".." not in parts and member.size <= MAX_MEMBER


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.name == "keys":
        path.parent.chmod(0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o600
    info.mtime = int(time.time())
    tar.addfile(info, io.BytesIO(data))


def _digest(source: Path | bytes) -> str:
    data = source if isinstance(source, bytes) else source.read_bytes()
    return hashlib.sha256(data).hexdigest()


def _is_database(file: Path, network: Network) -> bool:
    """The SQLite file itself (with its journals): it is copied by `_dump`, not as a file."""
    database = sa.make_url(network.database).database
    return network.database.startswith("sqlite") and bool(database) and str(file.absolute()).startswith(str(database))


def _dump(database: str, path: Path) -> bool:
    """Copy all tables of a database into a new SQLite file; False when there is no database yet."""
    url = sa.make_url(database)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        return False
    source = schema.open_engine(database)
    target = sa.create_engine(f"sqlite:///{path}")
    try:
        _copy(source, target)
    except sa.exc.SQLAlchemyError as error:
        raise BackupError(f"the store at {url.render_as_string()} cannot be copied: {_reason(error)}") from error
    finally:
        source.dispose()
        target.dispose()
    return True


def _reason(error: sa.exc.SQLAlchemyError) -> object:
    """The database's own word, on one line."""
    return getattr(error, "orig", None) or error


def _undump(path: Path, database: str) -> None:
    """Put the tables of a SQLite file into an empty database; BackupError when it is not empty."""
    source = sa.create_engine(f"sqlite:///{path}")
    target = schema.open_engine(database)
    name = sa.make_url(database).render_as_string()
    try:
        _refuse_rows(target, name)
        _copy(source, target)
    except sa.exc.SQLAlchemyError as error:
        raise BackupError(f"the store at {name} cannot be written: {_reason(error)}") from error
    finally:
        source.dispose()
        target.dispose()


def _refuse_rows(engine: sa.Engine, name: str) -> None:
    there = sa.inspect(engine).get_table_names()
    with engine.connect() as connection:
        for metadata in TABLES:
            for table in metadata.sorted_tables:
                if table.name in there and connection.execute(sa.select(table).limit(1)).first() is not None:
                    raise BackupError(f"the store at {name} holds a chain already: restore goes into an empty one")


def _copy(source: sa.Engine, target: sa.Engine) -> None:
    there = sa.inspect(source).get_table_names()
    options = {"isolation_level": "REPEATABLE READ"} if source.dialect.name == "postgresql" else {}
    with source.connect().execution_options(**options) as reading, reading.begin(), target.begin() as writing:
        for metadata in TABLES:
            metadata.create_all(writing)
            for table in metadata.sorted_tables:
                if table.name not in there:
                    continue
                for part in reading.execute(sa.select(table)).mappings().partitions(ROWS):
                    writing.execute(table.insert(), [dict(row) for row in part])
        if target.dialect.name == "postgresql":
            _set_sequences(writing)


def _set_sequences(connection: sa.Connection) -> None:
    """Where rows came with their numbers, PostgreSQL must go on counting behind them."""
    for metadata in TABLES:
        for table in metadata.sorted_tables:
            column = table.autoincrement_column
            if column is not None:
                last = connection.execute(sa.select(sa.func.max(column))).scalar()
                if last is not None:
                    sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
                    connection.execute(sa.select(sa.func.setval(sequence, last)))
