"""Programs in the background of this machine: ``poll: 0`` and ``async_status``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediation.model.errors import InputError
from tests.modules.local import Run, run_tasks

STATUS = {
    "name": "status",
    "async_status": {"jid": "{{ job.ansible_job_id }}"},
    "register": "state",
    "until": "state is finished",
}


def run_job(folder: Path, task: dict[str, Any], *more: dict[str, Any], limit: int = 20) -> Run:
    start = {"name": "start", **task, "async": limit, "poll": 0, "register": "job"}
    tasks = [start, {**STATUS, "retries": 200, "delay": 0.05, "ignore_errors": True}, *more]
    return run_tasks(folder, tasks, environment={"ANSIBLE_ASYNC_DIR": str(folder / "jobs")})


def test_a_job_has_its_standard_input_and_both_outputs(tmp_path: Path) -> None:
    ran = run_job(tmp_path, {"shell": {"cmd": "cat; echo no >&2; exit 3", "stdin": "yes"}})
    assert {key: ran.result("start")[key] for key in ("started", "finished", "changed")} == {
        "started": True,
        "finished": False,
        "changed": True,
    }
    found = ran.result("status")
    assert [found[key] for key in ("rc", "stdout", "stderr", "cmd", "failed")] == [
        3,
        "yes",
        "no",
        "cat; echo no >&2; exit 3",
        True,
    ]


def test_a_job_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    ran = run_job(tmp_path, {"shell": "sleep 60 & wait"}, limit=1)
    assert [ran.result("status")[key] for key in ("failed", "finished", "msg")] == [True, True, "Timeout exceeded"]


def test_the_files_of_a_job_belong_to_its_login_and_are_removed(tmp_path: Path) -> None:
    cleanup = {"name": "cleanup", "async_status": {"jid": "{{ job.ansible_job_id }}", "mode": "cleanup"}}
    seen = {"name": "seen", "command": f"stat -c %a {tmp_path}/jobs"}
    ran = run_job(tmp_path, {"command": "true"}, seen, cleanup)
    assert ran.result("seen")["stdout"] == "700"
    assert ran.result("cleanup")["erased"].startswith(str(tmp_path / "jobs"))
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_job_that_is_not_there_fails(tmp_path: Path) -> None:
    tasks = [{"async_status": {"jid": jid}, "name": jid, "ignore_errors": True} for jid in ("j1.2", "../x")]
    ran = run_tasks(tmp_path, tasks, environment={"ANSIBLE_ASYNC_DIR": str(tmp_path)})
    assert [ran.result(name)["msg"] for name in ("j1.2", "../x")] == ["could not find job"] * 2


def test_check_mode_starts_nothing(tmp_path: Path) -> None:
    start = {"command": f"touch {tmp_path}/x", "async": 5, "poll": 0}
    ran = run_tasks(tmp_path, [start], check=True)
    assert ran.outcomes() == {"command": "skipped"}
    assert not (tmp_path / "x").exists()


def test_other_modules_do_not_run_in_the_background(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="poll: 0 runs command, script, shell in the background, not copy"):
        run_tasks(tmp_path, [{"copy": {"content": "x", "dest": str(tmp_path / "x")}, "async": 5, "poll": 0}])
