"""The results of ``lint`` as SARIF 2.1.0, which GitHub's code scanning and editors show at their lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from remediation import __version__
from remediation.model.errors import Place, Problem
from remediation.playbook.lint import LintWarning

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
INVALID = "invalid-playbook"
"""The rule of an error: the playbook could not be run."""


def sarif(errors: Iterable[Problem], advice: Iterable[LintWarning]) -> dict[str, Any]:
    """Return the SARIF log of one check. Errors have the level ``error``, advice ``warning``."""
    results = [_result(INVALID, "error", each.message, each.place) for each in errors]
    results += [_result(each.rule, "warning", each.message, each.place) for each in advice]
    rules = [{"id": name} for name in dict.fromkeys(str(one["ruleId"]) for one in results)]
    driver = {"name": "remediate lint", "version": __version__, "rules": rules}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _result(rule: str, level: str, message: str, place: Place | None) -> dict[str, Any]:
    found: dict[str, Any] = {"ruleId": rule, "level": level, "message": {"text": message}}
    if place is not None:
        region = {"startLine": max(1, place.line), "startColumn": max(1, place.column)}
        found["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}, "region": region}}]
    return found


def _uri(name: str) -> str:
    """Return a file as a URI: relative to the working folder where possible, as code scanning needs it."""
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.as_uri() if path.is_absolute() else path.as_posix().replace(" ", "%20")
