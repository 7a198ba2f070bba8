"""What a board keeps in NVS, in one JSON file of mode 0600: keys, floor and records of fwnode's key store."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fwchain.errors import SetupError

MODE = 0o600
NOT_FOUND = 0x1102  # ESP_ERR_NVS_NOT_FOUND
TOO_LONG = 0x110C  # ESP_ERR_NVS_INVALID_LENGTH


class FileNvs:
    """An `esp32.NVS` of blobs over `path`; what was set is there for good after `commit`."""

    def __init__(self, path: Path) -> None:
        """Read the file, where there is one; raises SetupError when it is damaged."""
        self.path = path
        try:
            raw = json.loads(path.read_text())
            self._values = {str(name): bytes.fromhex(value) for name, value in raw.items()}
        except FileNotFoundError:
            self._values = {}
        except (ValueError, AttributeError, TypeError):
            raise SetupError(f"{path} is damaged: put it back from a backup, or make the node anew") from None

    def get_blob(self, name: str, buf: bytearray) -> int:
        """Fill `buf`; the value's length. Raises OSError as MicroPython does."""
        value = self._values.get(name)
        if value is None:
            raise OSError(-NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        if len(value) > len(buf):
            raise OSError(-TOO_LONG, "ESP_ERR_NVS_INVALID_LENGTH")
        buf[: len(value)] = value
        return len(value)

    def set_blob(self, name: str, value: bytes) -> None:
        """Set; it is kept by `commit`."""
        self._values[name] = bytes(value)

    def erase_key(self, name: str) -> None:
        """Forget; raises OSError when there is none."""
        if self._values.pop(name, None) is None:
            raise OSError(-NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")

    def commit(self) -> None:
        """Replace the file as a whole, on the disk when it returns."""
        new = self.path.with_name(self.path.name + ".new")
        data = json.dumps({name: value.hex() for name, value in sorted(self._values.items())}, indent=1)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "w") as file:
            file.write(data + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)
