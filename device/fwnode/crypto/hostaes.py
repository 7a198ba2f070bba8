"""AES-ECB with cryptolib's face, on CPython."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class aes:
    """cryptolib.aes(key, 1): ECB encryption."""

    def __init__(self, key: bytes, mode: int) -> None:
        if mode != 1:
            raise ValueError("mode: expected 1 (ECB), got %d" % mode)
        # GCM needs the bare block cipher; nothing is encrypted in ECB mode.
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt whole blocks."""
        return self._cipher.encryptor().update(data)
