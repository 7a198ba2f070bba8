"""Making what is signed off line: the next trust root, and a recall. No board loads this."""

from fwnode.compat import run
from fwnode.crypto import steps
from fwnode.trust.document import count_signers
from fwnode.trust.recall import MAX_RECALL, Recall
from fwnode.trust.root import MAX_ROOT, Root
from fwnode.wire.bencode import decode, decode_dict, encode
from fwnode.wire.message import key_id

MAX_TOLD = 4  # recalls that one answer tells a board


def successor(root: Root, changes: dict) -> bytes:
    """The encoded, unsigned root that follows `root`: its fields with `changes` (names as in Root's FIELDS).

    Raises WireError naming field and limit.
    """
    body = decode_dict(root.data, "root", MAX_ROOT)
    body.update(changes)
    body["number"] = root.number + 1
    body["signatures"] = []
    data = encode(body)
    Root(data)
    return data


def sign_root(data: bytes, private: bytes):  # type: ignore[no-untyped-def]
    """Steps: the encoded root with one more signature (the same key's earlier one replaced)."""
    root = Root(data)
    body = decode_dict(data, "root", MAX_ROOT)
    body["signatures"] = yield from _add(root.signatures, root.signed, private)
    return encode(body)


def signers(root: Root, of: Root) -> list:
    """The root keys of `of` whose signatures on `root` are right."""
    found = []
    for public in of.keys:
        if run(count_signers(root.signed, root.signatures, [public], [], 1)):
            found.append(public)
    return found


def recall(model: str, version: str, verifier: bytes, issued: int) -> bytes:
    """The encoded, unsigned recall of a release; `issued` in seconds since 1970. Raises WireError."""
    data = encode({"model": model, "version": version, "verifier": verifier, "issued": issued, "sigs": []})
    Recall(data)
    return data


def sign_recall(data: bytes, private: bytes):  # type: ignore[no-untyped-def]
    """Steps: the encoded recall with one more signature (the same key's earlier one replaced)."""
    statement = Recall(data)
    body = decode_dict(data, "recall", MAX_RECALL)
    body["sigs"] = yield from _add(statement.signatures, statement.signed, private)
    return encode(body)


def pack_recalls(statements: list, room: int = 4096) -> bytes:
    """What `res_verchk` carries: the first of the encoded `statements`, at most MAX_TOLD and `room` bytes."""
    told: list = []
    for data in statements[:MAX_TOLD]:
        if len(encode(told + [data])) > room:
            break
        told.append(data)
    return encode(told)


def unpack_recalls(told: bytes) -> list:
    """The recalls in what `res_verchk` carries; raises WireError."""
    statements: list = decode(told)  # type: ignore[assignment]
    return [Recall(data) for data in statements]


def _add(pairs: list, signed: bytes, private: bytes):  # type: ignore[no-untyped-def]
    signer = key_id((yield from steps.public_key(private)))
    signature = yield from steps.sign_digest(private, signed)
    return sorted([pair for pair in pairs if pair[0] != signer] + [[signer, signature]])
