"""Every runbook on the lab, then the undoing of its run: what is as at the start, and what was said beforehand to stay.

``python -m tests.cli.program.runbook_undo`` prints the table.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remediation_lab import control, processes
from tests.cli.processes import ROOT, Remediate

HOST = "laptop-07"
BOOKS = [
    ("llm-library-cuda", "fix-offload", ()),
    ("num-gpu-1-model", "fix-offload", ()),
    ("visible-devices", "fix-offload", ()),
    ("gpu-overhead", "fix-offload", ()),
    ("no-gpu-request", "fix-offload", ()),
    ("memory-limit", "fix-offload", ()),
    ("model-corrupt", "fix-offload", ()),
    ("vram-occupied", "fix-offload", ()),
    ("vram-occupied", "free-vram", ()),
    ("healthy", "restart-docker-desktop", ()),
    ("vram-occupied", "start-clean", ()),
    ("model-truncated", "repull-model", ()),
    ("healthy", "switch-model", ()),
    ("card-tight", "quantise-down", ()),
    ("healthy", "recreate-volume", ("--yes-destroy", HOST)),
    ("healthy", "verify", ()),
    ("vram-occupied", "diagnose", ()),
]


@dataclass(frozen=True, slots=True)
class Undone:
    """What a runbook changed, how its undoing ended, which parts of the machine then differ from the start, and what was said of it.

    ``lasting`` are the changes that the run itself declared to have no undo.
    """

    changed: tuple[str, ...]
    code: int
    differs: tuple[str, ...]
    lasting: tuple[str, ...]
    said: str


def undone(remediate: Remediate, place: Path, fault: str, book: str, words: tuple[str, ...]) -> Undone:
    """Break the machine, play the runbook, undo the run, and compare."""
    for command in (("lab.start",), ("lab.fault", HOST, fault)):
        assert remediate(*command).returncode == 0
    before = machine(place)
    played = remediate("play", f"{book}.yml", "--inventory", "lab", "--json", *words)
    events = [json.loads(line) for line in played.stdout.splitlines()]
    changes = [event for event in events if event["event"] == "change_end" and event["applied"]]
    run = next(event["run"] for event in events if event["event"] == "run_start")
    if not changes:
        return Undone((), 0, _differences(before, machine(place)), (), played.stderr)
    done = remediate("undo", run, "--yes-destroy", HOST, "--max-risk", "disruptive")
    assert "Traceback" not in done.stdout + done.stderr
    return Undone(
        tuple(dict.fromkeys(event["step"] for event in changes)),
        done.returncode,
        _differences(before, machine(place)),
        tuple(event["change"]["summary"] for event in changes if not event["change"].get("undo")),
        done.stdout + done.stderr,
    )


def machine(place: Path) -> Mapping[str, Any]:
    """Return what of the lab's machine a user would miss if it came back otherwise.

    Docker Desktop writes its own settings file whenever it stops (facts/windows 3.1); what it holds in memory is compared.
    """
    state = processes.call(place, "world", "state", host=HOST)
    assert isinstance(state, dict)
    return {
        "files": {
            each["path"]: base64.b64decode(each["content"]).decode(errors="replace")
            for each in state["files"].values()
            if not each["path"].endswith((".bak", ".undone", "settings-store.json")) and "remediation" not in each["path"].lower()
        },
        "containers": {
            each["name"]: (each["status"], each["image"], each["environment"], each["definition"]) for each in state["containers"]
        },
        "models": {
            each["name"]: sorted((model["name"], model["file"], json.dumps(model["parameters"])) for model in each["models"])
            for each in state["volumes"]
            if each["models"]
        },
        "programs": sorted(each["name"] for each in state["programs"] if each["windows"]),
        "Docker Desktop": (state["engine"]["up"], state["engine"]["settings"]),
    }


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(part for part in before if before[part] != after[part])


def main() -> None:
    """Print the table of all runbooks."""
    columns = ("runbook", "fault", "changed by", "undo ends with", "differs from the start", "no undo, as said")
    sys.stdout.write(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": folder, "XDG_STATE_HOME": folder}
        place = Path(folder) / "remediation" / "lab"

        def remediate(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "remediation.cli.main", *words]
            return subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
            )

        try:
            for fault, book, words in BOOKS:
                found = undone(remediate, place, fault, book, words)
                cells = (", ".join(found.changed), str(found.code), ", ".join(found.differs), "; ".join(found.lasting))
                sys.stdout.write(f"| {book} | {fault} | {' | '.join(cell or '-' for cell in cells)} |\n")
                sys.stdout.flush()
        finally:
            control.stop(place)


if __name__ == "__main__":
    main()
