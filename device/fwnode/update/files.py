"""A folder of small files on the board's file system, each replaced as a whole."""

import os

from fwnode.update import StorageError

FOLDER = "/fwchain"
_TEMP = ".new"


class FileStore:
    """Named files in `folder` (made when missing)."""

    def __init__(self, folder: str = FOLDER) -> None:
        self.folder = folder
        make_folders(folder + "/")

    def path(self, name: str) -> str:
        """The file's path."""
        return self.folder + "/" + name

    def read(self, name: str, limit: int = 8192):  # type: ignore[no-untyped-def]
        """The content, None when there is no such file; raises StorageError beyond `limit` bytes."""
        path = self.path(name)
        try:
            size = os.stat(path)[6]  # read exactly that: read(limit) would take the limit's room on the heap
            if size > limit:
                raise StorageError("{}: {} bytes, limit {}".format(path, size, limit))
            with open(path, "rb") as file:
                data = file.read(size)
        except OSError as error:
            if error.args[0] == 2:
                return None
            raise StorageError("{}: {}".format(path, error))
        return data

    def whole(self, name: str):  # type: ignore[no-untyped-def]
        """(path, size) of a file, None when there is none."""
        try:
            return self.path(name), os.stat(self.path(name))[6]
        except OSError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Replace the content: a temporary file, then a rename, so a cut leaves the old or the new content."""
        self.write_by(name, lambda write: write(data))

    def write_by(self, name: str, writer) -> None:  # type: ignore[no-untyped-def]
        """The same with what `writer(write)` writes, part by part."""
        path = self.path(name)
        try:
            with open(path + _TEMP, "wb") as file:
                writer(file.write)
            os.rename(path + _TEMP, path)
        except OSError as error:
            raise StorageError("{}: {}".format(path, error))

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, in place of what has it; nothing when there is no such file."""
        try:
            os.rename(self.path(name), self.path(new))
        except OSError as error:
            if error.args[0] != 2:
                raise StorageError("{}: {}".format(self.path(name), error))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        remove_tree(self.path(name))


def make_folders(path: str) -> None:
    """Make the folders that `path` lies in (up to its last slash); raises StorageError."""
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError as error:
            if error.args[0] != 17:  # it exists
                raise StorageError("{}: {}".format(path[:at], error))
        at = path.find("/", at + 1)


def remove_tree(path: str) -> None:
    """Remove a file or a folder with all that is in it; nothing when there is none. Raises StorageError."""
    try:
        if os.stat(path)[0] & 0x4000:
            for name in os.listdir(path):
                remove_tree(path + "/" + name)
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError as error:
        if error.args[0] != 2:
            raise StorageError("{}: {}".format(path, error))
