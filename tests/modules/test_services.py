"""``service`` and ``systemd`` with a stand-in for systemctl that keeps units in files: states, second runs, check mode and undo."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.modules.local import Run, run_tasks

_SYSTEMCTL = """#!/bin/sh
units={units}; verb=; name=
for word; do case $word in --*) ;; *) if [ -z "$verb" ]; then verb=$word; else name=$word; fi ;; esac; done
unit=$units/$name
put() {{ sed -i "s/^$1=.*/$1=$2/" "$unit"; }}
[ "$verb" = show ] || [ "$verb" = show-environment ] || echo "$verb $name" >>"$units/calls"
case $verb in
  show) if [ -n "$name" ] && [ -f "$unit" ]; then cat "$unit"; else echo LoadState=not-found; fi ;;
  start | restart)
    [ "$name" != broken ] || {{ echo "Job for broken failed." >&2; exit 1; }}
    put ActiveState active; echo >>"$units/starts"; put InvocationID "$(wc -l <"$units/starts")" ;;
  stop) put ActiveState inactive ;;
  enable) put UnitFileState enabled ;;
  disable) put UnitFileState disabled ;;
  mask) put LoadState masked ;;
  unmask) put LoadState loaded ;;
  daemon-reload | daemon-reexec) [ ! -f "$units/refuses" ] || {{ echo "Access denied" >&2; exit 1; }} ;;
esac
"""


class Units:
    """The units of the stand-in, and the calls that changed them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, active: str = "inactive", enabled: str = "disabled", load: str = "loaded") -> None:
        """Add a unit."""
        text = f"LoadState={load}\nActiveState={active}\nUnitFileState={enabled}\nInvocationID=before\n"
        (self.folder / name).write_text(text, "utf-8")

    def __getitem__(self, name: str) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.folder / name).read_text("utf-8").splitlines())

    def calls(self) -> list[str]:
        """Return the calls since the last time, and forget them."""
        path = self.folder / "calls"
        found = path.read_text("utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.strip() for line in found]


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Units:
    folder = tmp_path / "units"
    folder.mkdir()
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(_SYSTEMCTL.format(units=folder), "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return Units(folder)


def thrice(folder: Path, units: Units, module: str, wanted: Mapping[str, Any]) -> tuple[list[Run], list[list[str]]]:
    """Return the results of check mode, a run and a second run, and the calls of each."""
    runs, calls = [], []
    for check in (True, False, False):
        runs.append(run_tasks(folder, [{"name": "task", module: wanted}], check=check))
        calls.append(units.calls())
    return runs, calls


@pytest.mark.parametrize(
    ("module", "before", "wanted", "calls", "again"),
    [
        ("service", {}, {"state": "started"}, ["start web"], []),
        ("service", {"active": "active"}, {"state": "stopped"}, ["stop web"], []),
        ("service", {}, {"enabled": True}, ["enable web"], []),
        ("service", {"enabled": "enabled"}, {"enabled": False}, ["disable web"], []),
        ("service", {}, {"state": "started", "enabled": True}, ["enable web", "start web"], []),
        ("service", {"active": "active"}, {"state": "restarted"}, ["restart web"], ["restart web"]),
        ("service", {"active": "active"}, {"state": "reloaded"}, ["reload web"], ["reload web"]),
        ("service", {}, {"state": "reloaded"}, ["start web"], ["reload web"]),
        ("systemd", {}, {"masked": True}, ["mask web"], []),
        ("systemd", {"load": "masked"}, {"masked": False, "state": "started"}, ["unmask web", "start web"], []),
        ("systemd", {}, {"state": "started", "scope": "user"}, ["start web"], []),
        ("systemd", {}, {"state": "started", "daemon_reload": True}, ["daemon-reload", "start web"], ["daemon-reload"]),
    ],
)
def test_a_service_reaches_its_state_once(
    tmp_path: Path, units: Units, module: str, before: Mapping[str, str], wanted: Mapping[str, Any], calls: list[str], again: list[str],
) -> None:  # fmt: skip
    units.put("web", **before)
    (check, first, second), made = thrice(tmp_path, units, module, {"name": "web", **wanted})
    assert made[0] == []
    assert (sorted(made[1]), made[2]) == (sorted(calls), again)
    lasting = "ok" if again in ([], ["daemon-reload"]) else "changed"
    assert [run.outcomes()["task"] for run in (check, first, second)] == ["would-change", "changed", lasting]
    assert first.result("task")["name"] == "web"
    assert set(first.result("task")["status"]) >= {"ActiveState", "LoadState"}


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ({}, {"state": "started"}),
        ({"active": "active", "enabled": "enabled"}, {"state": "stopped", "enabled": False}),
        ({"load": "masked"}, {"masked": False}),
    ],
)
def test_the_undo_of_a_service_restores_its_state(
    tmp_path: Path, units: Units, before: Mapping[str, str], wanted: Mapping[str, Any]
) -> None:
    units.put("web", **before)
    old = units["web"]
    ran = run_tasks(tmp_path, [{"systemd": {"name": "web", **wanted}}])
    assert units["web"] != old
    for change in reversed([change["change"] for change in ran.changes]):
        if change["undo"]:
            assert run_tasks(tmp_path, [{change["undo"]["step"]: change["undo"]["params"]}]).code == 0
    names = ("ActiveState", "LoadState", "UnitFileState")
    assert [units["web"][name] for name in names] == [old[name] for name in names]


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("absent", "started", "Could not find the requested service absent: host"),
        ("broken", "started", "Job for broken failed."),
        ("broken", "restarted", "Job for broken failed."),
    ],
)
def test_a_service_that_does_not_reach_its_state_is_a_failure(
    tmp_path: Path, units: Units, name: str, state: str, words: str
) -> None:
    units.put("broken")
    ran = run_tasks(tmp_path, [{"service": {"name": name, "state": state}}])
    assert ran.code != 0
    assert words in ran.results["service"]["reason"]


def test_check_mode_skips_a_service_that_is_not_there_yet(tmp_path: Path, units: Units) -> None:
    ran = run_tasks(tmp_path, [{"service": {"name": "absent", "state": "started"}}], check=True)
    assert (ran.outcomes(), units.calls()) == ({"service": "skipped"}, [])


def test_systemd_that_does_not_read_its_files_again_is_a_failure(tmp_path: Path, units: Units) -> None:
    task = {"systemd": {"daemon_reload": True}}
    ran = run_tasks(tmp_path, [task])
    assert (ran.outcomes(), units.calls()) == ({"systemd": "ok"}, ["daemon-reload"])
    (units.folder / "refuses").touch()
    ran = run_tasks(tmp_path, [{**task, "ignore_errors": True}])
    assert ran.result("systemd")["msg"] == "failure 1 during daemon-reload: Access denied"
    assert ran.result("systemd")["changed"] is False


@pytest.mark.parametrize(
    ("module", "given", "words"),
    [
        ("service", {"name": "web"}, "one of the following is required: state, enabled"),
        ("service", {"state": "started"}, "missing required arguments: name"),
        ("systemd", {"state": "started"}, "missing parameter(s) required by 'state': name"),
        ("systemd", {"name": "web", "state": "started", "scope": "global"}, "scope global is not supported"),
        ("win_service", {"name": "web", "state": "started"}, "alpha is not a Windows host, which win_service does not support"),
    ],
)
def test_a_wrong_task_is_refused(tmp_path: Path, units: Units, module: str, given: Mapping[str, Any], words: str) -> None:
    units.put("web")
    ran = run_tasks(tmp_path, [{"name": "task", module: given, "ignore_errors": True}])
    assert words in ran.result("task")["msg"]
    assert units.calls() == []
