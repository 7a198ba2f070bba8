"""The host's errors. Each carries the exit code of the command that ends with it.

Every message is one sentence for the person who typed the command, with what to do next where that is known.
"""

from __future__ import annotations

from fwnode.errors import FwError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SETUP = 3
EXIT_UNTRUSTED = 4
EXIT_UNREACHABLE = 5
EXIT_INTERRUPTED = 130

EXIT_CODES = {
    0: "done",
    EXIT_FAILED: "failed; the message says why",
    EXIT_USAGE: "wrong option or argument",
    EXIT_SETUP: "no network, board or configuration as the command needs it",
    EXIT_UNTRUSTED: "a signature, hash or certificate is wrong or missing",
    EXIT_UNREACHABLE: "the other side cannot be reached, or refused",
    EXIT_INTERRUPTED: "interrupted",
}


class HostError(FwError):
    """Base of every error that the host raises on purpose."""

    exit_code = EXIT_FAILED


class SetupError(HostError):
    """There is no network, board or configuration as the command needs it."""

    exit_code = EXIT_SETUP


class NotTrusted(HostError):
    """A signature, hash or certificate is wrong or missing."""

    exit_code = EXIT_UNTRUSTED


class Unreachable(HostError):
    """The other side cannot be reached, or refused."""

    exit_code = EXIT_UNREACHABLE


def sentence(error: Exception) -> str:
    """What an error says to a person; the operating system's own without number and class."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
