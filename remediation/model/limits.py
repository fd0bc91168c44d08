"""How much of anything a host may send: the numbers of every connection, and the error when one is exceeded.

A program on the host, a server behind a port or the host itself may be broken or hostile. None of them may exhaust this machine's
memory, so each kind of answer has a limit well above what an honest host sends. `docs/connections.md` lists them.
"""

from __future__ import annotations

_KIB, _MIB = 1024, 1024 * 1024

HEAD = 64 * _KIB
"""Bytes of an HTTP answer before its body: status line and headers, with every ``100 Continue`` before them."""
BODY = 16 * _MIB
"""Bytes of an HTTP answer's body."""
STREAM = 64 * _MIB
"""Bytes of a body that comes line by line: a pull of two hours reports its progress in about 20 MB."""
LINE = BODY
"""Bytes of one line of such a body."""
FOLLOWED = 64 * _KIB
"""Bytes of a line of which a pull's progress is told; Ollama writes about 200."""
ENVELOPE = 4 * _MIB
"""Bytes of a WinRM answer; the service sends 500 kB by default and is not asked for more."""
WINRM_SECONDS = 60.0
"""Seconds for a WinRM message where nothing else says how many."""
XML_DEPTH = 100
"""Elements inside each other in a WinRM answer."""
OUTPUT = 128 * _MIB
"""Bytes of a program's stdout, and as many of its stderr."""
ANSWER = 2 * OUTPUT + STREAM
"""Bytes of all pieces of one answer of the PowerShell worker."""
KEPT_ERRORS = 64_000
"""Bytes of the worker's stderr that are kept, to be shown when something fails."""
FRAME = 32 * _MIB
"""Bytes of one line of the PowerShell worker: a whole body, twice in base64."""
SSH_PACKET = _MIB
"""Bytes of one SSH packet; OpenSSH sends 256 kB at most."""
CASSETTE = 256 * _MIB
"""Bytes of a recorded run."""
JSON_SIZE = BODY
"""Characters of a JSON text from a host."""
JSON_DEPTH = 100
"""Lists and objects inside each other in it."""
JSON_VALUES = 1_000_000
"""Values in it, estimated from its commas and brackets."""
JSON_DIGITS = 40
"""Digits of one whole number in it; the largest 64-bit number has 20."""


class LimitExceeded(Exception):
    """A host sent more than it may, or in a form that is not accepted. `message` is one clause for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Tally:
    """Counts what has come of one thing; raises `LimitExceeded` as soon as that is more than `most` bytes, and `beside` of others."""

    def __init__(self, what: str, most: int, beside: int = 0) -> None:
        self._what, self._most, self._beside = what, most, beside
        self.count = 0

    def add(self, size: int) -> None:
        """Count `size` more bytes."""
        self.count += size
        if self.count > self._most + self._beside:
            raise LimitExceeded(exceeded(self._what, self._most))


def exceeded(what: str, most: int) -> str:
    """Return the clause for a limit of bytes that was exceeded."""
    size = f"{most // _MIB} MB" if most >= _MIB else f"{most // _KIB} kB"
    return f"{what} is larger than {size}, the most that is accepted"
