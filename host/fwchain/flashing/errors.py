"""What can go wrong between a computer and a board, and what to do about it, in sentences."""

from __future__ import annotations

import re

from fwchain.errors import EXIT_SETUP, EXIT_UNREACHABLE, HostError

BOOT_MODE_HELP = "hold the BOOT button (GPIO0 to ground), press RESET, let go of BOOT, and try again"


NO_PERMISSION = (
    "no permission on {port}: add yourself to the group that owns it "
    "(sudo usermod -aG dialout $USER), log out and in again"
)


class FlashingError(HostError):
    """A step towards a board failed; the message says what to do."""

    exit_code = EXIT_UNREACHABLE


class WrongFile(FlashingError):
    """The file given is not one that belongs where it should go."""

    exit_code = EXIT_SETUP


class NoPort(FlashingError):
    """No port was given, and none or several were found."""

    exit_code = EXIT_SETUP


def _wrong_chip(match: re.Match[str]) -> str:
    return (
        f"the board at {{port}} is an {match[1]}, not an {match[2]}: "
        f"give BOARD={match[1].lower().replace('-', '')} or another PORT"
    )


# (pattern in a tool's output, sentence or function of the match); the first that fits is taken.
_SENTENCES: tuple[tuple[str, object], ...] = (
    (
        r"(?i)permission denied|Errno 13|PermissionError",
        NO_PERMISSION,
    ),
    (r"This chip is ([\w-]+), not ([\w-]+)", _wrong_chip),
    (
        r"Download mode successfully detected, but getting no sync reply",
        "the board at {port} is in download mode but does not hear: check the wire to its RX pin",
    ),
    (
        r"Wrong boot mode detected",
        "the board at {port} did not enter download mode: " + BOOT_MODE_HELP,
    ),
    (
        r"Failed to connect to|No serial data received|Invalid head of packet",
        "the board at {port} is in no boot mode that esptool can talk to: " + BOOT_MODE_HELP,
    ),
    (
        r"will not fit in (\d+) bytes of flash",
        "the image is too large for the board's flash; build for this board's flash size",
    ),
    (
        r"Could not exclusively lock|Resource temporarily unavailable|port is busy|"
        r"may be in use by another program|device reports readiness to read but returned no data",
        "{port} cannot be opened: it does not exist, or another program (a monitor?) has it open",
    ),
    (
        r"(?i)No such file or directory: '?/dev|could not open|failed to access|Connection refused",
        "{port} cannot be opened: check the cable and the name of the port",
    ),
    (
        r"MD5 of file does not match|Verification failed|written flash region is empty",
        "what was read back from the flash is not what was written: try again, with a lower "
        "--baud or a better cable; if it stays, the flash chip is worn out",
    ),
    (
        r"could not enter raw repl|timeout waiting for|could not exec command",
        "the board at {port} does not answer as MicroPython does: flash it first "
        "(make flash), or reset it if a program keeps it busy",
    ),
    (
        r"ENOSPC|Errno 28|No space left",
        "the board's file system is full: remove files, or flash it anew",
    ),
)


def explain(tool: str, port: str, output: str) -> str:
    """The sentence for a tool's failing output; its own last line when nothing is known of it."""
    for pattern, sentence in _SENTENCES:
        match = re.search(pattern, output)
        if match:
            text = sentence(match) if callable(sentence) else str(sentence)
            return text.format(port=port)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("NOTE:", "WARNING:"))]
    return f"{tool} failed on {port}: {lines[-1] if lines else 'it said nothing'}"
