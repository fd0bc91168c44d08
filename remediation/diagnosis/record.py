"""Saving evidence to be sent: redacted, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.redaction import redacted
from remediation.model.errors import UsageError
from remediation.model.private_file import write_private
from remediation.model.text.visible import visible_json


def save(evidence: Evidence, path: Path, *, users: tuple[str, ...] = ()) -> None:
    """Write `evidence` as the record that ``--evidence`` reads; only its owner may read the file. Raises `UsageError`."""
    text = visible_json(redacted(evidence, users=users).to_json(), indent=1)
    try:
        write_private(path, f"{text}\n")
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise UsageError(msg, next_step="give --out a file in a folder that may be written to") from error
