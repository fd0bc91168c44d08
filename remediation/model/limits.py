"""Limits on the size of a host's answers, for every connection, and the error for exceeding them.

A program on the host, a server behind a port or the host itself may be broken or hostile. None of them may exhaust this
machine's memory, so each kind of answer has a limit well above what an honest host sends. `docs/connections.md` lists them.
"""

from __future__ import annotations

_KIB, _MIB = 1024, 1024 * 1024

HEAD = 64 * _KIB
"""Bytes of an HTTP response before its body: status line and headers, including every preceding ``100 Continue``."""
BODY = 16 * _MIB
"""Bytes of an HTTP response's body."""
STREAM = 64 * _MIB
"""Bytes of a streamed body: a pull of two hours reports its progress in about 20 MB."""
LINE = BODY
"""Bytes of one line of a streamed body."""
FOLLOWED = 64 * _KIB
"""Bytes of a line that is parsed as pull progress; Ollama writes about 200."""
ENVELOPE = 4 * _MIB
"""Bytes of a WinRM response; the service sends 500 kB by default, and requests do not ask for more."""
WINRM_SECONDS = 60.0
"""Default time limit of a WinRM message in seconds."""
XML_DEPTH = 100
"""Nesting depth of elements in a WinRM response."""
OUTPUT = 128 * _MIB
"""Bytes of a program's stdout, and the same for its stderr."""
ANSWER = 2 * OUTPUT + STREAM
"""Bytes of all chunks of one answer of the PowerShell worker."""
KEPT_ERRORS = 64_000
"""Bytes of the worker's stderr that are kept for error messages."""
FRAME = 32 * _MIB
"""Bytes of one line of the PowerShell worker: a whole body, encoded twice in base64."""
SSH_PACKET = _MIB
"""Bytes of one SSH packet; OpenSSH sends 256 kB at most."""
CASSETTE = 256 * _MIB
"""Bytes of a recorded run."""
JSON_SIZE = BODY
"""Characters of a JSON text from a host."""
JSON_DEPTH = 100
"""Nesting depth of lists and objects in it."""
JSON_VALUES = 1_000_000
"""Values in it, estimated from its commas and brackets."""
JSON_DIGITS = 40
"""Digits of one integer in it; the largest 64-bit number has 20."""


class LimitExceeded(Exception):
    """A host sent too much data, or data in an unaccepted form. `message` is one clause for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Tally:
    """Counts received bytes. Raises `LimitExceeded` above `most` bytes plus `overhead` bytes."""

    def __init__(self, what: str, most: int, overhead: int = 0) -> None:
        self._what, self._most, self._overhead = what, most, overhead
        self.count = 0

    def add(self, size: int) -> None:
        """Count `size` more bytes."""
        self.count += size
        if self.count > self._most + self._overhead:
            raise LimitExceeded(exceeded_text(self._what, self._most))


def exceeded_text(what: str, most: int) -> str:
    """Return the clause for an exceeded limit in bytes."""
    size = f"{most // _MIB} MB" if most >= _MIB else f"{most // _KIB} kB"
    return f"{what} exceeds the limit of {size}"
