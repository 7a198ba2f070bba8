"""What a board keeps in NVS, namespace "fwchain": keys, floor, time, and the records of its releases.

Each value is one blob, replaced as a whole: after a power cut it is the old one or the new one, so what must
change together stands in one blob. Nothing counts as kept before `commit`, which `put` calls.
"""

from fwnode.compat import const
from fwnode.update import KeyStoreError
from fwnode.wire import WireError
from fwnode.wire.decode import decode_dict

NAMESPACE = "fwchain"
_NOT_FOUND = const(0x1102)
_TOO_LONG = const(0x110C)
_FULL = (0x1105, 0x1107, 0x110D)  # not enough space, in the entry, the page, the value
TIME_STEP = 3600  # seconds: the newest known time is written this often at most (wear)

# name: least and most bytes
LIMITS = {
    "sk": (32, 32),  # private key
    "pk": (65, 65),  # its public key, uncompressed
    "cert": (1, 400),
    "genesis": (32, 32),  # hash of the genesis block
    "time": (8, 8),  # newest known time, seconds since 1970, big-endian
    "floor": (1, 64),  # {e: epoch, v: version}
    "run": (1, 160),  # the confirmed release {p: place, h: verifier, e: epoch, v: version}
    "old": (1, 160),  # the one before it, in the other slot
    "pend": (1, 220),  # the installed, unconfirmed one: as above, and how its trial goes
    "fail": (1, 600),  # releases that failed
    "rec": (17, 272),  # releases that were recalled
    "fold": (18, 18),  # the folder switch of a board without slot images
}


class KeyStore:
    """Named blobs within limits; `nvs` is an open `esp32.NVS` (default: the namespace on this board)."""

    def __init__(self, nvs=None) -> None:  # type: ignore[no-untyped-def]
        if nvs is None:
            from esp32 import NVS

            nvs = NVS(NAMESPACE)
        self._nvs = nvs

    def get(self, name: str):  # type: ignore[no-untyped-def]
        """The value as bytes, None when it was never set; raises KeyStoreError."""
        least, most = LIMITS[name]
        buf = bytearray(most)
        try:
            size = self._nvs.get_blob(name, buf)
        except OSError as error:
            code = -error.args[0]
            if code == _NOT_FOUND:
                return None
            if code == _TOO_LONG:
                raise KeyStoreError("NVS {}: longer than {} bytes".format(name, most))
            raise KeyStoreError("NVS {}: read: {}".format(name, error))
        if not least <= size <= most:
            raise KeyStoreError("NVS {}: {} bytes, limit {} to {}".format(name, size, least, most))
        return bytes(buf[:size])

    def put(self, name: str, value: bytes) -> None:
        """Set and commit; an unchanged value is not written again. Raises KeyStoreError."""
        least, most = LIMITS[name]
        if not least <= len(value) <= most:
            raise KeyStoreError("NVS {}: {} bytes, limit {} to {}".format(name, len(value), least, most))
        try:
            if self.get(name) == value:
                return
        except KeyStoreError:
            pass  # what stands there is no value: replace it
        try:
            self._nvs.set_blob(name, value)
            self._nvs.commit()
        except OSError as error:
            if -error.args[0] in _FULL:
                raise KeyStoreError("NVS is full: no room for {} ({} bytes)".format(name, len(value)))
            raise KeyStoreError("NVS {}: write: {}".format(name, error))

    def drop(self, name: str) -> None:
        """Forget the value, if there is one."""
        try:
            self._nvs.erase_key(name)
            self._nvs.commit()
        except OSError as error:
            if -error.args[0] != _NOT_FOUND:
                raise KeyStoreError("NVS {}: erase: {}".format(name, error))

    def record(self, name: str):  # type: ignore[no-untyped-def]
        """The value as a dictionary, None when there is none or it is malformed."""
        value = self.get(name)
        try:
            return decode_dict(value, name, LIMITS[name][1]) if value else None
        except WireError:
            return None

    def put_record(self, name: str, record: dict) -> None:
        """Set a dictionary, bencoded, and commit."""
        from fwnode.wire.bencode import encode

        self.put(name, encode(record))

    def private_key(self, generate):  # type: ignore[no-untyped-def]
        """Steps: this board's private key, 32 bytes; made by the steps `generate()` where there is none.

        It is returned only after it was read back from NVS, so no certificate is ever asked for a key that the
        next boot does not have.
        """
        if self.get("sk") is None:
            key = yield from generate()
            self.put("sk", key)
            if self.get("sk") != key:
                raise KeyStoreError("NVS sk: reads back different from what was written")
        return self.get("sk")

    def newest_time(self) -> int:
        """The newest time that was known, in seconds since 1970; 0 when none was."""
        value = self.get("time")
        return int.from_bytes(value, "big") if value else 0

    def note_time(self, now: int) -> None:
        """Keep `now` when it is newer; written at most once an hour of it."""
        if now >= self.newest_time() + TIME_STEP:
            self.put("time", now.to_bytes(8, "big"))
