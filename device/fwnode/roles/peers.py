"""L, the peer list of a release: info-hash, then who has it, complete or not (paper 3.1)."""

from fwnode.wire import WireError

ENTRY = 7  # address 4, port 2 big-endian, flag 1
MAX_PEERS = 32
MIN_PORT = 1024


def pack(info_hash: bytes, peers: list) -> dict:
    """The sealed form of L; `peers` is a list of (IPv4 address, port, complete)."""
    packed = bytearray()
    for ip, port, complete in peers[:MAX_PEERS]:
        packed += bytes(int(part) for part in ip.split("."))
        packed += port.to_bytes(2, "big")
        packed.append(1 if complete else 0)
    return {"info-hash": info_hash, "peers": bytes(packed)}


def unpack(sealed: dict, info_hash: bytes) -> list:
    """[(ip, port, complete)] of an L for `info_hash`; raises WireError. Ports below 1024 are left out."""
    if sealed.get("info-hash") != info_hash:
        raise WireError("l: info-hash: not the release's")
    packed = sealed.get("peers")
    if not isinstance(packed, bytes) or len(packed) % ENTRY or len(packed) > ENTRY * MAX_PEERS:
        raise WireError("l: peers: at most {} entries of {} bytes expected".format(MAX_PEERS, ENTRY))
    peers = []
    for at in range(0, len(packed), ENTRY):
        port = packed[at + 4] << 8 | packed[at + 5]
        if port >= MIN_PORT:
            ip = ".".join(str(byte) for byte in packed[at : at + 4])
            peers.append((ip, port, packed[at + 6] == 1))
    return peers
