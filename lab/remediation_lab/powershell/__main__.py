"""Play powershell.exe: ``python -m remediation_lab.powershell [options] -EncodedCommand X`` or ``... SCRIPT.ps1``.

The encoded command is not read but for its form: what runs is the worker.  A script is known by its file's name, as a probe; its
data comes as JSON on stdin and goes as JSON to stdout.  Without ``REMEDIATION_LAB_WORLD`` a default machine is played.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from remediation_lab.powershell import start

_TAKE_A_VALUE = {
    "-executionpolicy",
    "-ep",
    "-version",
    "-windowstyle",
    "-inputformat",
    "-outputformat",
    "-configurationname",
    "-workingdirectory",
}
_BARE = {"-noprofile", "-nop", "-noninteractive", "-noni", "-nologo", "-sta", "-mta", "-noexit"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the arguments say; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    while words:
        word = words.pop(0)
        low = word.lower()
        if low in _TAKE_A_VALUE:
            words[:1] = []
        elif low in {"-encodedcommand", "-enc", "-e", "-ec"}:
            return start.encoded(words[0] if words else "")
        elif low in {"-file", "-f"}:
            return start.script(words[0] if words else "")
        elif low not in _BARE:
            if low.startswith("-") and low not in {"-command", "-c"}:
                sys.stderr.write(f"The argument '{word}' is not recognized as the name of a parameter.\r\n")
                return 64
            return start.script(word) if low.endswith(".ps1") else start.refused()
    return start.refused()


if __name__ == "__main__":
    raise SystemExit(main())
