"""The standards' vectors for P-256, SHA-256, HMAC, HKDF, AES-128-GCM and HPKE, on MicroPython.

Every vector of each parameter set.  What is left to `tests/interop`: AES-128-GCM with other IVs and
shorter tags.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import crypto_vectors as cv
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

MODES = ("micropython", "pure", "face")
ECDH = "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_"
ECDSA = "asymmetric/ECDSA/"
EDITION_2 = ("SigGen.txt", "SigVer.rsp", "KeyPair.rsp")


@pytest.mark.parametrize("mode", MODES)
def test_public_keys_of_cavp_pkv(tmp_path: Path, mode: str) -> None:
    """FIPS 186-2 and 186-3 PKV: 8 of 24 keys are good, the others no points or out of range."""
    lines, good = [], 0
    for edition in ("FIPS_186-2", "FIPS_186-3"):
        for section, f in cv.cavp(f"{ECDSA}{edition}/PKV.rsp"):
            if "[P-256]" not in section:
                continue
            if max(len(f["Qx"]), len(f["Qy"])) > 64:  # too large even for 32 bytes
                q = b"\4" + bytes.fromhex(f["Qx"].zfill(66) + f["Qy"].zfill(66))
            else:
                q = cv.point(f["Qx"], f["Qy"])
            valid = f["Result"].startswith("P")
            good += valid
            d = b"\1".rjust(32, b"\0")
            lines.append(cv.line("precompute", q, None if valid else "InvalidKey"))
            # 1 * Q is Q
            lines.append(cv.line("ecdh", d, q, q[1:33] if valid else "InvalidKey"))
    counts = cv.check(tmp_path, lines, mode)
    assert counts == {"precompute": 24, "ecdh": 24}
    assert 0 < good < 24


@pytest.mark.parametrize("mode", MODES)
def test_signatures_of_cavp_sigver(tmp_path: Path, mode: str) -> None:
    """FIPS 186-3 SigVer, P-256 with SHA-256: 15; the other four hashes by their digest: 60."""
    lines, outcomes = [], set()
    for section, f in cv.cavp(ECDSA + "FIPS_186-3/SigVer.rsp"):
        if not section.startswith("[P-256,"):
            continue
        q, message = cv.point(f["Qx"], f["Qy"]), bytes.fromhex(f["Msg"])
        valid = f["Result"].startswith("P")
        outcomes.add(valid)
        sig = cv.signature(f["R"], f["S"])
        if "SHA-256]" in section:
            lines.append(cv.line("verify", q, message, sig, valid))
        else:
            digest = hashlib.new(cv.hash_of(section), message).digest()[:32]
            lines.append(cv.line("verify_digest", q, digest, sig, valid))
    # once more with a comb for each key
    lines += [cv.line("precompute", bytes.fromhex(row.split()[1]), None) + "\n" + row for row in lines]
    lines = "\n".join(lines).split("\n")
    counts = cv.check(tmp_path, lines, mode)
    assert counts == {"verify": 30, "verify_digest": 120, "precompute": 75}
    assert outcomes == {True, False}


def test_signatures_of_cavp_siggen(tmp_path: Path) -> None:
    """SigGen of both editions: public keys of the private ones, and 90 valid signatures; KeyPair; 186-2's SigVer."""
    lines = []
    for path in ("FIPS_186-3/SigGen.txt", "FIPS_186-3/KeyPair.rsp", *(f"FIPS_186-2/{n}" for n in EDITION_2)):
        for section, f in cv.cavp(ECDSA + path):
            if not section.startswith("[P-256"):
                continue
            if "Qx" not in f:
                continue
            q = cv.point(f["Qx"], f["Qy"])
            if "d" in f:
                lines.append(cv.line("public_key", bytes.fromhex(f["d"].zfill(64)), q))
            if "Msg" in f:
                digest = hashlib.new(cv.hash_of(section), bytes.fromhex(f["Msg"])).digest()[:32]
                digest = digest.rjust(32, b"\0")
                valid = f.get("Result", "P").startswith("P")
                lines.append(cv.line("verify_digest", q, digest, cv.signature(f["R"], f["S"]), valid))
    counts = cv.check(tmp_path, lines)
    assert counts == {"public_key": 110, "verify_digest": 105}


@pytest.mark.parametrize("mode", MODES)
def test_ecdh_of_cavp(tmp_path: Path, mode: str) -> None:
    """SP 800-56A validity, P-256, every file and hash: what is no key, and Z itself."""
    lines = []
    for path in ("NOKC_ZZOnly_init", "NOKC_ZZOnly_resp", "KDFConcat_NOKC_init", "KDFConcat_NOKC_resp"):
        for section, f in cv.cavp(f"{ECDH}{path}.fax"):
            if "[EC - " not in section:
                continue
            reason = int(f["Result"].partition("(")[2].split()[0])
            d = bytes.fromhex(f["dsIUT"].zfill(64))
            theirs = cv.point(f["QsCAVSx"], f["QsCAVSy"])
            own = cv.point(f["QsIUTx"], f["QsIUTy"])
            if reason in (1, 2):
                lines.append(cv.line("ecdh", d, theirs, "InvalidKey"))
            elif reason in (5, 6):
                lines.append(cv.line("ecdh", d, own, "InvalidKey"))
            elif reason == 7:  # the private key was changed: it no longer gives its public key
                lines.append(cv.line("is_public_key", d, own, False))
            else:  # 8 is "Z changed"; 9 to 12 concern what is derived from Z
                z = bytes.fromhex(f["Z"].zfill(64))
                lines.append(cv.line("is_public_key", d, own, True))
                lines.append(cv.line("is_secret", d, theirs, z, reason != 8))
    counts = cv.check(tmp_path, lines, mode)
    assert counts == {"ecdh": 64, "is_public_key": 176, "is_secret": 160}  # of 240 vectors


def rfc6979_records() -> Iterator[dict[str, str]]:
    """The P-256 records of A.2.5: operation, hash, message, signature in DER, and the result."""
    text = (cv.VECTORS / ECDSA / "RFC6979/evppkey_ecdsa_rfc6979.txt").read_text()
    text = text.partition("Title = RFC 6979 P-256 ")[2].partition("\nTitle = ")[0]
    for record in text.split("\n\n"):
        fields = dict(row.partition(" = ")[::2] for row in record.splitlines())
        if "Input" in fields:
            yield fields


@pytest.mark.parametrize("mode", MODES)
def test_rfc6979_signatures(tmp_path: Path, mode: str) -> None:
    """RFC 6979 A.2.5: the key, both signatures with SHA-256; other hashes verify, but no changed bit."""
    d = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
    q = cv.point(
        "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
        "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
    )
    lines = [cv.line("public_key", d, q)]
    for f in rfc6979_records():
        message = f["Input"].strip('"').encode()
        r, s = decode_dss_signature(bytes.fromhex(f["Output"]))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if "DigestVerify" in f:
            digest = hashlib.new(f["DigestVerify"], message).digest()[:32].rjust(32, b"\0")
            lines.append(cv.line("verify_digest", q, digest, signature, "Result" not in f))
            if f["DigestVerify"] == "SHA256":
                lines.append(cv.line("verify", q, message, signature, "Result" not in f))
        elif f["DigestSign"] == "SHA256":
            lines.append(cv.line("sign", d, message, signature))
    counts = cv.check(tmp_path, lines, mode)
    assert counts == {"public_key": 1, "sign": 2, "verify": 4, "verify_digest": 20}


def test_hashes(tmp_path: Path) -> None:
    """SHA-256 (all short, long and Monte Carlo vectors), HMAC (RFC 4231), HKDF (RFC 5869)."""
    lines = []
    for kind in ("ShortMsg", "LongMsg"):
        for _, f in cv.cavp(f"hashes/SHA2/SHA256{kind}.rsp"):
            if "Msg" in f:
                message = bytes.fromhex(f["Msg"])[: int(f["Len"]) // 8]
                lines.append(cv.line("sha256", message, bytes.fromhex(f["MD"])))
    seed = b""
    for _, f in cv.cavp("hashes/SHA2/SHA256Monte.rsp"):
        if "MD" in f:
            lines.append(cv.line("monte", seed, bytes.fromhex(f["MD"])))
            seed = bytes.fromhex(f["MD"])
        elif "Seed" in f:
            seed = bytes.fromhex(f["Seed"])
    for _, f in cv.cavp("HMAC/rfc-4231-sha256.txt"):
        if "MD" in f:
            tag = bytes.fromhex(f["MD"])
            lines.append(cv.line("hmac", bytes.fromhex(f["Key"]), bytes.fromhex(f["Msg"]), tag))
    # test case 5, which that file leaves out since it gives half of the result
    key, half = b"\x0c" * 20, bytes.fromhex("a3b6167473100ee06e0c796c2955552b")
    lines.append(cv.line("hmac_half", key, b"Test With Truncation", half))
    for path in ("rfc-5869-HKDF-SHA256.txt", "hkdf-generated.txt"):
        seen: dict[str, str] = {}
        for _, f in cv.cavp("KDF/" + path):
            seen.update(f)  # the RFC's vectors have blank lines in them
            if "OKM" not in f:
                continue
            f, seen = seen, {}
            salt, ikm, info, okm = (bytes.fromhex(f[k]) for k in ("salt", "IKM", "info", "OKM"))
            prk = bytes.fromhex(f["PRK"]) if "PRK" in f else hmac(salt, ikm)
            lines.append(cv.line("extract", salt, ikm, prk))
            lines.append(cv.line("expand", prk, info, int(f["L"]).to_bytes(2, "big"), okm))
    counts = cv.check(tmp_path, lines)
    assert counts == {"sha256": 129, "monte": 100, "hmac": 6, "hmac_half": 1, "extract": 4, "expand": 4}


def hmac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 from the standard library."""
    import hmac as library

    return library.new(key, data, "sha256").digest()


def test_aes_128_gcm(tmp_path: Path) -> None:
    """CAVP AES-128-GCM, 96-bit IV and 128-bit tag: 375 to seal, 375 to open, some forged."""
    rows = cv.gcm_lines("gcmEncryptExtIV128.rsp", "gcmDecrypt128.rsp")
    lines = [row for usual, row in rows if usual]
    assert any(row.endswith("None") for row in lines)
    assert cv.check(tmp_path, lines) == {"gcm_seal": 375, "gcm_open": 375}


def test_hpke(tmp_path: Path) -> None:
    """RFC 9180 A.3, mode base: the box sealed and opened, and all 257 messages of the context."""
    found = 0
    for t in json.loads((cv.VECTORS / "HPKE/test-vectors.json").read_text()):
        if (t["mode"], t["kem_id"], t["kdf_id"], t["aead_id"]) != (0, 0x10, 1, 1):
            continue
        found += 1
        info, sk_r, sk_e, pk_r, pk_e, enc, key, base = (
            bytes.fromhex(t[k]) for k in ("info", "skRm", "skEm", "pkRm", "pkEm", "enc", "key", "base_nonce")
        )
        lines = [cv.line("public_key", sk_r, pk_r), cv.line("public_key", sk_e, pk_e)]
        first = t["encryptions"][0]
        aad, pt, ct = (bytes.fromhex(first[k]) for k in ("aad", "pt", "ct"))
        opened = [
            cv.line("seal", sk_e, pk_r, info, aad, pt, enc + ct),
            cv.line("unseal", sk_r, info, aad, enc + ct, pt),
            cv.line("unseal", sk_r, info + b"x", aad, enc + ct, "InvalidBox"),
        ]
        lines += [*opened, cv.line("precompute", pk_r, None), *opened]
        for n, e in enumerate(t["encryptions"]):
            aad, pt, ct, nonce = (bytes.fromhex(e[k]) for k in ("aad", "pt", "ct", "nonce"))
            assert (int.from_bytes(base, "big") ^ n).to_bytes(12, "big") == nonce or n > 255
            lines.append(cv.line("gcm_seal", key, nonce, aad, pt, b"\x10", ct))
        for mode in MODES:
            counts = cv.check(tmp_path, lines, mode)
            assert counts["gcm_seal"] == 257
            assert counts["seal"] == 2 and counts["unseal"] == 4
    assert found == 1
