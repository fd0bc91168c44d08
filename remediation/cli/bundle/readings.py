"""The readings of each host's first diagnosis, kept with the run for an evidence bundle."""

from __future__ import annotations

import gzip
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader
    from remediation.model.finding import Diagnosis

_log = logging.getLogger(__name__)

FOLDER = "evidence"
_SUFFIX = ".json.gz"
_MOST = 64_000_000
"""Unpacked bytes that are read of one host."""


class EvidenceKeeper:
    """Diagnoses a host for a run, and keeps the redacted readings of its first diagnosis in the run's folder."""

    def __init__(self, run_folder: Path, mask: Callable[[str], str]) -> None:
        self._folder = run_folder / FOLDER
        self._mask = mask

    def diagnose(self, host: Reader) -> Diagnosis:
        """Return the diagnosis. Readings that cannot be stored are logged: a repair does not depend on them."""
        from remediation.diagnosis.collect import collect
        from remediation.diagnosis.diagnose import diagnose

        evidence = collect(host)
        if evidence.host and not self._path(evidence.host).exists():
            from remediation.diagnosis.redaction import redact
            from remediation.model.text.visible import visible_json

            self.keep(evidence.host, visible_json(redact(evidence).to_json()))
        return diagnose(evidence)

    def keep(self, host: str, text: str) -> None:
        """Keep a host's redacted readings unless the run has some."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self._path(host), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(gzip.compress(self._mask(text).encode("utf-8", "backslashreplace"), 6, mtime=0))
        except FileExistsError:
            return
        except OSError as error:
            _log.warning("the readings of %s cannot be kept: %s", host, error.strerror or error)

    def _path(self, host: str) -> Path:
        return self._folder / f"{quote(host, safe='')}{_SUFFIX}"


def kept_evidence(run_folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each host of a run with its readings as text; files that cannot be read are skipped."""
    folder = run_folder / FOLDER
    for path in sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else ():
        try:
            with gzip.open(path) as file:
                content = file.read(_MOST + 1)
        except (OSError, EOFError, zlib.error):
            continue
        if len(content) <= _MOST:
            yield unquote(path.name.removesuffix(_SUFFIX)), content.decode("utf-8", "replace")
