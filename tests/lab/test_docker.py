"""The docker stand-in: what it does to containers, and its shapes against recordings of the real CLI."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from remediation_lab.host.host import Host
from remediation_lab.scenarios import docker_desktop as scenario
from remediation_lab.wire import Json
from tests.lab.conftest import made

FILES = ("-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml")
NAME = "ai-native-ollama"


def docker(machine: Host, *words: str, cwd: str = scenario.FOLDER, **env: str) -> tuple[int, str, str]:
    reply = machine.call("run", argv=["docker", *words], cwd=cwd, env=env, timeout=900)
    return reply["rc"], base64.b64decode(reply["stdout"]).decode(), base64.b64decode(reply["stderr"]).decode()


def compose(machine: Host, *words: str) -> tuple[int, str, str]:
    return docker(machine, "compose", *FILES, *words)


def edit(machine: Host, old: str, new: str, name: str = "docker-compose.gpu.yml") -> None:
    path = f"{scenario.FOLDER}\\{name}"
    text = (machine.files.get(path) or b"").decode()
    assert old in text
    machine.files.put(path, text.replace(old, new).encode())


def test_up_changes_only_what_differs(machine: Host) -> None:
    before = machine.engine.find(NAME).id
    assert compose(machine, "up", "-d") == (0, "", f" Container {NAME}  Running\n Container ai-native-api  Running\n")
    edit(machine, "OLLAMA_CONTEXT_LENGTH=4096", "OLLAMA_CONTEXT_LENGTH=2048")
    assert machine.engine.find(NAME).environment["OLLAMA_CONTEXT_LENGTH"] == "4096"
    rc, _, stderr = docker(machine, "compose", *FILES, "--dry-run", "up", "-d", "ollama")
    assert (rc, stderr.count("DRY-RUN MODE - "), machine.engine.find(NAME).id) == (0, 4, before)
    rc, _, stderr = compose(machine, "up", "-d")
    assert [line.split()[-1] for line in stderr.splitlines() if NAME in line] == ["Recreate", "Recreated", "Starting", "Started"]
    after = machine.engine.find(NAME)
    assert (after.id != before, after.environment["OLLAMA_CONTEXT_LENGTH"]) == (True, "2048")
    assert machine.state.writes == {"compose up ollama": 1, "start ollama": 1}
    assert not machine.engine.servers()[0].runners  # a new server has nothing loaded


def test_a_restart_does_not_apply_a_changed_definition(machine: Host) -> None:
    edit(machine, "OLLAMA_CONTEXT_LENGTH=4096", "OLLAMA_CONTEXT_LENGTH=2048")
    assert compose(machine, "restart", "ollama")[0] == 0
    assert machine.engine.find(NAME).environment["OLLAMA_CONTEXT_LENGTH"] == "4096"


def test_hashes_show_what_up_would_change(machine: Host) -> None:
    label = machine.engine.find(NAME).labels["com.docker.compose.config-hash"]
    hashes = dict(line.split() for line in compose(machine, "config", "--hash", "*")[1].splitlines())
    assert hashes["ollama"] == label
    edit(machine, "memory: 4G", "memory: 3G")
    changed = dict(line.split() for line in compose(machine, "config", "--hash", "*")[1].splitlines())
    assert (changed["ollama"] != label, changed["api"]) == (True, hashes["api"])


def test_stop_start_kill_and_their_states(machine: Host) -> None:
    held = machine.memory.used()
    assert compose(machine, "stop", "ollama")[0] == 0
    assert machine.memory.used() < held
    state = json.loads(docker(machine, "inspect", "-f", "{{json .State}}", NAME)[1])
    assert (state["Status"], state["ExitCode"], state["FinishedAt"] > state["StartedAt"]) == ("exited", 0, True)
    assert docker(machine, "exec", NAME, "env")[0] == 1
    assert (
        machine.call("probe", name="http", data={"method": "GET", "url": "http://127.0.0.1:11434/"})["error"]["kind"] == "refused"
    )
    assert compose(machine, "start", "ollama")[0] == 0
    assert docker(machine, "kill", NAME) == (0, f"{NAME}\n", "")
    assert machine.engine.find(NAME).exit_code == 137


def test_models_live_in_the_volume(machine: Host) -> None:
    assert "mistral" in docker(machine, "exec", NAME, "ollama", "list")[1]
    assert compose(machine, "down")[0] == 0
    assert compose(machine, "up", "-d")[0] == 0
    assert "mistral" in docker(machine, "exec", NAME, "ollama", "list")[1]
    assert docker(machine, "volume", "rm", "activia1_ollama_data")[0] == 1  # in use
    assert compose(machine, "down", "-v")[0] == 0
    assert docker(machine, "volume", "ls", "-q") == (0, "", "")
    assert compose(machine, "up", "-d")[0] == 0
    assert "mistral" not in docker(machine, "exec", NAME, "ollama", "list")[1]


def test_a_variable_that_is_not_set_is_warned_of(machine: Host) -> None:
    machine.files.remove(f"{scenario.FOLDER}\\.env")
    rc, _, stderr = compose(machine, "config", "-q")
    assert (rc, 'level=warning msg="The \\"OLLAMA_MODEL\\" variable is not set.' in stderr) == (0, True)
    assert docker(machine, "compose", *FILES, "config", "-q", OLLAMA_MODEL="x") == (0, "", "")


def test_an_engine_without_gpus_refuses_the_request(machine: Host) -> None:
    machine.state.engine.gpu_support = False
    compose(machine, "down")
    rc, _, stderr = compose(machine, "up", "-d")
    assert (rc, stderr.splitlines()[-1]) == (
        1,
        'Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]',
    )


def test_an_engine_that_is_down() -> None:
    machine = made("engine-down")
    for words in (("ps",), ("inspect", NAME), ("logs", NAME), ("compose", *FILES, "ps"), ("version",)):
        rc, _, stderr = docker(machine, *words)
        assert (rc, "dockerDesktopLinuxEngine" in stderr) == (1, True)
    assert json.loads(docker(machine, "version", "--format", "json")[1])["Server"] is None
    assert json.loads(docker(machine, "info", "--format", "json")[1])["ServerErrors"]
    assert compose(machine, "config", "-q")[0] == 0


@pytest.mark.parametrize(
    "words",
    [("nosuch",), ("ps", "--nosuch"), ("inspect", "nosuch"), ("logs", "nosuch"), ("exec", "nosuch", "env"), ("--context", "nosuch", "ps"),
     ("compose", "nosuch"), ("compose", "-f", "nosuch.yml", "ps"), ("exec", NAME, "nosuch"), ("volume", "inspect", "nosuch")],
)  # fmt: skip
def test_what_is_not_there_is_an_error_in_words(machine: Host, words: tuple[str, ...]) -> None:
    rc, stdout, stderr = docker(machine, *words)
    assert rc != 0
    assert stderr or stdout


def test_programs_in_the_container_see_its_environment_and_the_card(machine: Host) -> None:
    assert "OLLAMA_NUM_GPU=99" in docker(machine, "exec", NAME, "env")[1].splitlines()
    assert "RTX 3060" in docker(machine, "exec", NAME, "nvidia-smi", "-L")[1]
    assert "CPU/GPU" in docker(machine, "exec", NAME, "ollama", "ps")[1]
    assert docker(machine, "exec", "ai-native-api", "nvidia-smi")[0] == 126


def test_logs_keep_the_streams_apart(machine: Host) -> None:
    _, stdout, stderr = docker(machine, "logs", NAME)
    assert all(line.startswith("[GIN]") for line in stdout.splitlines())
    assert "offloaded 1/33 layers to GPU" in stderr
    assert len(docker(machine, "logs", "--tail", "3", NAME)[2].splitlines()) <= 3
    assert docker(machine, "logs", "--since", "1s", NAME)[2] == ""
    started = json.loads(docker(machine, "inspect", "-f", "{{json .State.StartedAt}}", NAME)[1])
    assert docker(machine, "logs", "--since", started, NAME)[2] == stderr
    assert docker(machine, "logs", "--since", "yesterday", NAME)[0] == 1


CORPUS = os.environ.get("REMEDIATION_CORPUS", "")
OPEN = ("Labels", "Runtimes", "Ports", "Networks", "ExposedPorts")
"""Objects whose keys are names of things, not fields."""
NEWER = {".HostConfig.KernelMemory", ".HostConfig.KernelMemoryTCP"}
"""Fields of the recorded engine 20.10 that an engine of 2024 no longer has."""


def recorded(folder: str, number: str) -> dict[str, Any]:
    (path,) = (Path(CORPUS) / "recordings" / "docker" / folder).glob(f"{number}-*.cmd.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def shape(value: object, at: str = "") -> dict[str, str]:
    """Each field's path and type; null matches any type."""
    found = {at: type(value).__name__}
    if isinstance(value, dict):
        for key, each in value.items():
            if at.rpartition(".")[2] not in OPEN:
                found |= shape(each, f"{at}.{key}")
    return found


def records(text: str) -> Json:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = [json.loads(line) for line in text.splitlines()][-1]
    return found[0] if isinstance(found, list) else found


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS, reason="REMEDIATION_CORPUS is not set")
@pytest.mark.parametrize(
    ("folder", "number"),
    [("engine", "02"), ("engine", "03"), ("engine", "06"), ("engine", "07"), ("engine", "09"), ("compose-no-gpu", "07"),
     ("compose-no-gpu", "09"), ("compose-no-gpu", "11"), ("compose-no-gpu", "12"), ("compose-no-gpu", "15"), ("compose-no-gpu", "16")],
)  # fmt: skip
def test_json_has_the_real_cli_s_fields_and_types(machine: Host, folder: str, number: str) -> None:
    real = recorded(folder, number)
    words = [word.replace("activia1-main", "activia1") for word in real["argv"][1:]]
    rc, stdout, _ = docker(machine, *words)
    assert rc == real["rc"]
    ours, theirs = shape(records(stdout)), shape(records(real["stdout"]))
    assert set(theirs) - set(ours) <= NEWER
    assert set(ours) <= set(theirs)
    assert {key for key, kind in ours.items() if kind != theirs[key] and "NoneType" not in {kind, theirs[key]}} == set()


def project(machine: Host, folder: str) -> None:
    for path in (Path(CORPUS) / "recordings" / "docker" / folder).glob("*.yml"):
        machine.files.put(f"C:\\dev\\activia1-main\\{path.name}", path.read_bytes())


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS, reason="REMEDIATION_CORPUS is not set")
def test_a_project_resolves_to_what_the_real_plugin_says(machine: Host) -> None:
    project(machine, "gpu-request-refused")
    real = recorded("gpu-request-refused", "09")
    _, stdout, _ = docker(machine, *real["argv"][1:], cwd="C:\\dev\\activia1-main")
    assert json.loads(stdout) == json.loads(real["stdout"])


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS, reason="REMEDIATION_CORPUS is not set")
@pytest.mark.parametrize("number", ["03", "04", "05", "07", "08", "09", "10", "12", "13", "14", "15", "16", "19", "21", "22"])
def test_compose_refuses_in_the_real_plugin_s_words(machine: Host, number: str) -> None:
    project(machine, "compose-no-gpu")
    project(machine, "compose-errors")
    real = recorded("compose-errors", number)
    rc, stdout, stderr = docker(machine, *real["argv"][1:], cwd="C:\\dev\\activia1-main")
    stderr = stderr.replace("C:\\dev\\activia1-main\\", "/srv/activia1-main/")
    stderr = stderr.replace("The system cannot find the file specified.", "no such file or directory")
    stamp = re.compile(r'time="[^"]*"')
    assert (rc, stdout, stamp.sub("", stderr).strip()) == (real["rc"], real["stdout"], stamp.sub("", real["stderr"]).strip())
