"""Enrolment: an enrolment key certifies a board's public key for its model (design: addition 6)."""

from fwnode.crypto import steps
from fwnode.trust import Untrusted
from fwnode.trust.document import BYTES, INT, only, signed_hash, take, take_text
from fwnode.wire.bencode import decode_dict, encode
from fwnode.wire.message import key_id

MAX_CERTIFICATE = 400
FIELDS = ("d", "pu", "exp", "by", "sig")


class Certificate:
    """A board's certificate: model, public key (65 bytes), expiry (seconds since 1970), signer's key ID."""

    def __init__(self, data: bytes) -> None:
        """Parse; raises WireError. Nothing is believed before `check`."""
        body = decode_dict(data, "certificate", MAX_CERTIFICATE)
        only(body, "certificate", FIELDS)
        self.data = data
        self.model = take_text(body, "certificate", "d", 1, 32)
        self.public = take(body, "certificate", "pu", BYTES, 65, 65)
        self.expires = take(body, "certificate", "exp", INT, 0, 1 << 40)
        self.signer = take(body, "certificate", "by", BYTES, 20, 20)
        self.signature = take(body, "certificate", "sig", BYTES, 64, 64)
        self.key_id = key_id(self.public)

    def check(self, root, now):  # type: ignore[no-untyped-def]
        """Steps: raise Untrusted unless an enrolment key of `root` signed it, and it is neither revoked nor expired.

        Without `now` its expiry is not looked at.
        """
        issuer = root.enrolment_key(self.signer)
        if issuer is None:
            raise Untrusted("certificate", "certificate: its signer is no enrolment key of root {}".format(root.number))
        if self.key_id in root.revoked:
            raise Untrusted("revoked", "certificate: the key is revoked by root {}".format(root.number))
        if now is not None and now > self.expires:
            raise Untrusted("expired", "certificate: expired at {}, now {}".format(self.expires, now))
        body = _body(self.model, self.public, self.expires, self.signer)
        if not (yield from steps.verify_digest(issuer, signed_hash("cert", body), self.signature)):
            raise Untrusted("certificate", "certificate: the enrolment key's signature is wrong")


def _body(model: str, public: bytes, expires: int, signer: bytes) -> dict:
    return {"d": model.encode(), "pu": public, "exp": expires, "by": signer}


def issue(enrolment_private: bytes, model: str, public: bytes, expires: int):  # type: ignore[no-untyped-def]
    """Steps: the encoded certificate of `public` for `model`, signed by an enrolment key."""
    signer = key_id((yield from steps.public_key(enrolment_private)))
    body = _body(model, public, expires, signer)
    body["sig"] = yield from steps.sign_digest(enrolment_private, signed_hash("cert", body))
    data = encode(body)
    Certificate(data)
    return data
