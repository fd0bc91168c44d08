"""Reads the evidence of a bundle, for ``diagnose --evidence FILE.zip``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from remediation.cli.bundle.write import EVIDENCE
from remediation.model.errors import UsageError

MOST_FILES = 1000
MOST_BYTES = 64_000_000
"""Unpacked bytes that are read: a small zip can hold a large file."""


def is_bundle(argument: str) -> bool:
    """Return whether an argument of ``--evidence`` names a bundle; a damaged one is one too, not a log."""
    return argument.lower().endswith(".zip") and Path(argument).is_file()


def _readings(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the readings of each host; what was quoted of a host only if its readings are missing."""
    inside = [one for one in archive.infolist() if one.filename.startswith(EVIDENCE)]
    found = {one.filename.rpartition(".")[0]: one for one in inside if one.filename.endswith(".txt")}
    found.update({one.filename.rpartition(".")[0]: one for one in inside if one.filename.endswith(".json")})
    return list(found.values())


def evidence_in(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each host in the bundle with its evidence. Raises `UsageError`."""
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            names = _readings(archive)
            for one in names[:MOST_FILES]:
                with archive.open(one) as file:
                    content = file.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise UsageError(
                        f"{path}: its evidence has more than {MOST_BYTES // 1_000_000} MB",
                        next_step="unpack it, and name its files",
                    )
                yield one.filename.removeprefix(EVIDENCE).rpartition(".")[0], content.decode("utf-8", "replace")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{path} is damaged: {error}", next_step="ask for the bundle again") from None
    if not names:
        raise UsageError(f"{path} has no evidence: its run diagnosed no host", next_step="see run.html in it")
