"""daemon.json of a real dockerd: changed, taken over, validated and undone; its containers run again after a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.steps.on_engine import excerpt
from tests.support import guide_host
from tests.support.ages import wait_until_older
from tests.support.engine import IMAGE, Engine, add_image, private_engine
from tests.support.preloaded_python import python

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
_SUBNET = 251

_SYSTEMCTL = """#!{python} -I
import os, select, signal, subprocess, sys, time
from pathlib import Path

pidfile, words = Path({pidfile!r}), sys.argv[1:]
pid = int(pidfile.read_text()) if pidfile.exists() else 0
if words[:2] == ["show", "docker.service"]:
    print(pid)
    sys.exit(0)
if words[0] != "restart":
    sys.exit(1)
kept = pidfile.with_name("command")
if pid:
    kept.write_bytes(Path(f"/proc/{{pid}}/cmdline").read_bytes())
    running = os.pidfd_open(pid)
    signal.pidfd_send_signal(running, signal.SIGTERM)
    select.select([running], [], [])
command = kept.read_bytes().split(b"\\0")[:-1]
log = open({log!r}, "w+")
daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
while "API listen on" not in Path({log!r}).read_text():
    if daemon.poll() is not None:
        sys.exit("Job for docker.service failed because the control process exited with error code.")
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine with a systemctl that really restarts it."""
    with private_engine(gpu_hook=False, subnet=_SUBNET) as made:
        programs = made.folder / "bin"
        programs.mkdir(exist_ok=True)
        for name, text in (("systemctl", _SYSTEMCTL), ("nvidia-container-runtime", "#!/bin/sh\n")):
            filled = text.format(python=sys.executable, pidfile=f"{made.folder}/pid", log=f"{made.folder}/dockerd.log")
            (programs / name).write_text(filled, encoding="utf-8")
            (programs / name).chmod(0o755)
        add_image(made)
        yield made
        pid = (made.folder / "pid").read_text("utf-8")
        names = made.docker("ps", "-aq", check=False).stdout.split()
        made.docker("rm", "-f", *names, check=False)
        subprocess.run(["kill", pid], check=False)


def remediate(engine: Engine, folder: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a command of `remediate` against the engine's host, and return its exit code and events."""
    inventory = folder / "hosts.json"
    host = {"ansible_connection": "local", "docker_host": engine.host, "endpoint": "http://127.0.0.1:9"}
    inventory.write_text(json.dumps({"all": {"hosts": {"gpu-01": host}}}), encoding="utf-8")
    where = () if words[0] == "undo" else ("--inventory", str(inventory))
    environment = {**guide_host.environment(engine), "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*python(environment), "-m", "remediation.cli.main", *words, *where, "--json"],
        cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False, timeout=100,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def play(engine: Engine, folder: Path, *tasks: dict[str, Any], words: tuple[str, ...] = ()) -> tuple[int, list[dict[str, Any]]]:
    """Play tasks."""
    book = folder / "book.yml"
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]), encoding="utf-8")
    return remediate(engine, folder, "play", str(book), "--max-risk", "disruptive", *words)


def info(engine: Engine, field: str) -> str:
    return str(engine.docker("info", "--format", f"{{{{json .{field}}}}}").stdout.strip())


def results(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["outcome"], event["msg"]) for event in events if event["event"] == "task_result"]


def test_runtimes_and_live_restore_are_taken_over_by_a_reload_and_undone(engine: Engine, tmp_path: Path) -> None:
    file = engine.folder / "daemon.json"
    file.write_text('{"labels": ["a=b"]}\n', encoding="utf-8")
    pid = (engine.folder / "pid").read_text("utf-8")
    tasks = ({"docker_daemon.configured": {"set": {"live-restore": True}}}, {"container_toolkit.configured": {}})
    code, events = play(engine, tmp_path, *tasks, words=("--check",))
    assert (code, file.read_text("utf-8")) == (4, '{"labels": ["a=b"]}\n'), excerpt(events)
    code, events = play(engine, tmp_path, *tasks)
    assert (code, [outcome for outcome, _ in results(events)]) == (0, ["changed", "changed"]), excerpt(events)
    keys = json.loads(file.read_text("utf-8"))
    assert keys == {
        "labels": ["a=b"],
        "live-restore": True,
        "runtimes": {"nvidia": {"args": [], "path": "nvidia-container-runtime"}},
    }
    assert (info(engine, "LiveRestoreEnabled"), "nvidia" in info(engine, "Runtimes")) == ("true", True)
    run = next(event["run"] for event in events if event["event"] == "run_start")
    code, events = play(engine, tmp_path, *tasks)
    assert [outcome for outcome, _ in results(events)] == ["ok", "ok"], excerpt(events)
    code, events = remediate(engine, tmp_path, "undo", run, "--max-risk", "disruptive")
    assert code == 0, excerpt(events)
    assert file.read_text("utf-8") == '{"labels": ["a=b"]}\n', excerpt(events)
    assert (info(engine, "LiveRestoreEnabled"), "nvidia" in info(engine, "Runtimes")) == ("false", False)
    assert (engine.folder / "pid").read_text("utf-8") == pid


@pytest.mark.parametrize(
    ("text", "keys", "said"),
    [
        ("{ not json", {"live-restore": True}, "is not valid JSON"),
        ("{}\n", {"data-root": "/srv/docker"}, "data-root is also given as a flag of dockerd"),
        ("{}\n", {"hosts": ["tcp://0.0.0.0:2375"]}, "hosts is also given as a flag of dockerd"),
    ],
)
def test_what_would_keep_the_daemon_from_starting_is_refused_before_the_file_is_written(
    engine: Engine, tmp_path: Path, text: str, keys: dict[str, Any], said: str
) -> None:
    file = engine.folder / "daemon.json"
    file.write_text(text, encoding="utf-8")
    code, events = play(engine, tmp_path, {"docker_daemon.configured": {"set": keys}})
    ((outcome, message),) = results(events)
    assert (code, outcome, said in message, file.read_text("utf-8")) == (2, "failed", True, text), excerpt(events)


def test_a_key_that_needs_a_restart_restarts_the_daemon_and_its_containers(engine: Engine, tmp_path: Path) -> None:
    file = engine.folder / "daemon.json"
    file.write_text("{}\n", encoding="utf-8")
    for name in ("plain", "stopped"):
        engine.docker("run", "-d", "--network", "none", "--name", name, "--init", "--entrypoint", "sleep", IMAGE, "600")
    engine.docker("stop", "--time", "0", "stopped")
    pid = (engine.folder / "pid").read_text("utf-8")
    code, events = play(engine, tmp_path, {"docker_daemon.configured": {"set": {"log-opts": {"max-size": "10m"}}}})
    assert (code, results(events)[0][0]) == (0, "changed"), excerpt(events)
    assert "restart the Docker daemon (stops and starts plain)" in json.dumps(events)
    assert engine.docker("ps", "--format", "{{.Names}}").stdout.split() == ["plain"]
    assert (engine.folder / "pid").read_text("utf-8") != pid
    engine.docker("rm", "-f", "plain", "stopped")


def test_a_file_with_which_the_daemon_does_not_start_is_taken_back(engine: Engine, tmp_path: Path) -> None:
    """Releases before 23.0 cannot validate a file, so the restart shows it."""
    file = engine.folder / "daemon.json"
    file.write_text("{}\n", encoding="utf-8")
    code, events = play(engine, tmp_path, {"docker_daemon.configured": {"set": {"no-such-key": True}}})
    assert (code, file.read_text("utf-8")) == (2, "{}\n"), excerpt(events)
    assert info(engine, "ServerVersion").strip('"')


def test_the_daemon_is_restarted_once_per_run(engine: Engine, tmp_path: Path) -> None:
    pid = (engine.folder / "pid").read_text("utf-8")
    wait_until_older(int(pid))  # else the daemon that another test has just started counts as started in this run
    code, events = play(engine, tmp_path, {"docker.restarted": {}}, {"docker.restarted": {}})
    assert (code, [outcome for outcome, _ in results(events)]) == (0, ["changed", "ok"]), excerpt(events)
    assert (engine.folder / "pid").read_text("utf-8") != pid
