"""Files that are written whole or not at all, and errors of the operating system that say which file it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def replace(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file, or replace it; what was there stays when that fails. Raises OSError, which names `path`."""
    new = path.with_name(path.name + ".new")
    with named(path):
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def named(path: Path | str) -> Iterator[None]:
    """An OSError of the block that names no file (a full disk's does not) comes out with `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
