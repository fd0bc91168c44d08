"""Saving evidence to be sent: redacted, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.redaction import redacted
from remediation.model.errors import UsageError


def save(evidence: Evidence, path: Path, *, users: tuple[str, ...] = ()) -> None:
    """Write `evidence` as the record that ``--evidence`` reads; only its owner may read the file. Raises `UsageError`."""
    text = json.dumps(redacted(evidence, users=users).to_json(), ensure_ascii=False, indent=1)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        msg = f"{path}: cannot be written: {error.strerror}"
        raise UsageError(msg, next_step="give --out a file in a folder that may be written to") from error
