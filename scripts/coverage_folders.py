"""Print the branch coverage of each folder of ``remediation/``: ``python scripts/coverage_folders.py``, after ``coverage combine``.

Folders below the goal of CONTRIBUTING.md end with ``<``.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import coverage

GOAL = 90.0
COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def measured() -> Mapping[str, Any]:
    """Return coverage.py's summary of each file."""
    data = coverage.Coverage()
    data.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        data.json_report(outfile=str(path))
        return {name: found["summary"] for name, found in json.loads(path.read_text("utf-8"))["files"].items()}


def by_folder(files: Mapping[str, Mapping[str, int]]) -> dict[str, Counter[str]]:
    """Return the sums of the files' figures by folder."""
    folders: dict[str, Counter[str]] = {}
    for name, summary in files.items():
        folders.setdefault(Path(name).parent.as_posix(), Counter()).update({each: summary[each] for each in COUNTED})
    return folders


def percent(sums: Mapping[str, int]) -> float:
    """Return the covered share of statements and branches, as coverage.py computes it."""
    everything = sums["num_statements"] + sums["num_branches"]
    return 100 * (sums["covered_lines"] + sums["covered_branches"]) / everything if everything else 100.0


def main() -> None:
    """Print the table."""
    folders = by_folder(measured())
    for name, sums in [*sorted(folders.items()), ("all", sum(folders.values(), Counter()))]:
        share = percent(sums)
        print(f"{name:44} {sums['num_statements']:6,} statements {share:6.1f} %{'' if share >= GOAL else '  <'}")


if __name__ == "__main__":
    main()
