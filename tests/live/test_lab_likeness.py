"""What the lab's docker answers has the fields and types of what a real engine answers to the same words (its own versions apart)."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest

from remediation_lab.host.host import Host
from remediation_lab.scenarios import docker_desktop as scenario
from remediation_lab.scenarios.faults import FOLDER
from tests.support import guide_host
from tests.support.project import CONTAINER, FILES, GUIDE, Project

pytestmark = pytest.mark.live

OPEN = (
    "Labels",
    "Runtimes",
    "Ports",
    "Networks",
    "ExposedPorts",
    "Plugins",
    "services",
    "networks",
    "volumes",
    "environment",
    "Data",
)
"""Objects whose keys are names of things, not fields."""
BY_VERSION = re.compile(
    r"\.(HostConfig\.)?KernelMemory(TCP)?$|\.HostConfig\.(ConsoleSize|Annotations)$|\.Config\.StopTimeout$|\.DefaultAddressPools$"
    r"|\.(Containerd|FirewallBackend|DiscoveredDevices|ImageManifestDescriptor|Storage)$"
)
"""Fields that an engine of another year has, or a container that was given a time-out to stop."""


def shape(value: object, at: str = "") -> dict[str, str]:
    found = {at: "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__}
    if isinstance(value, dict) and at.rpartition(".")[2] not in OPEN:
        for key, each in value.items():
            found |= shape(each, f"{at}.{key}")
    return found


def record(text: str, name: str = "") -> Any:  # any JSON document
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = [json.loads(line) for line in text.splitlines()]
    rows = found if isinstance(found, list) else [found]
    return next((row for row in rows if name and name in json.dumps(row)), rows[0])


@pytest.fixture(scope="module")
def machine() -> Host:
    return scenario.machine("laptop-07", now=time.time(), scale=2000, saved=lambda _: None, fault="num-gpu-1")


def in_lab(machine: Host, *words: str) -> tuple[int, str, str]:
    done = machine.call("run", argv=["docker", *words], cwd=FOLDER, timeout=600)
    return done["rc"], base64.b64decode(done["stdout"]).decode(), base64.b64decode(done["stderr"]).decode()


def test_json_answers_have_the_real_fields_and_types(guide_project: Project, machine: Host) -> None:
    guide_host.num_gpu_1(guide_project)
    volume = f"{guide_project.folder.name}_ollama_data"
    differing: dict[str, list[str]] = {}
    for words in (
        ("info", "--format", "{{json .}}"),
        ("ps", "-a", "--no-trunc", "--format", "{{json .}}"),
        ("inspect", CONTAINER),
        ("volume", "ls", "--format", "json"),
        ("volume", "inspect", volume),
        ("stats", "--no-stream", "--format", "json", CONTAINER),
        ("images", "--format", "json"),
        ("compose", "ls", "--format", "json"),
        ("compose", *FILES, "ps", "--format", "json"),
        ("compose", "version", "--format", "json"),
    ):
        real = guide_project.engine.docker(*words, folder=guide_project.folder).stdout
        rc, ours, stderr = in_lab(machine, *(word.replace(volume, "activia1_ollama_data") for word in words))
        assert rc == 0, stderr
        here, there = (shape(record(text, "ollama")) for text in (ours, real))
        wrong = [f"{key} only in the lab" for key in here.keys() - there.keys() if not BY_VERSION.search(key)]
        wrong += [f"{key} only real" for key in there.keys() - here.keys() if not BY_VERSION.search(key)]
        wrong += [
            f"{key}: {here[key]} in the lab, {there[key]} real"
            for key in here.keys() & there.keys()
            if here[key] != there[key] and "NoneType" not in {here[key], there[key]}
        ]
        assert len(here.keys() & there.keys()) > 1, words
        if wrong:
            differing[" ".join(words)] = sorted(wrong)
    assert differing == {}


def test_a_project_resolves_to_the_very_same_document(guide_project: Project, machine: Host) -> None:
    guide_project.write(GUIDE)
    folder = f"C:\\dev\\{guide_project.folder.name}"
    for path in guide_project.folder.iterdir():
        machine.files.put(f"{folder}\\{path.name}", path.read_bytes())
    real = guide_project.compose("config", "--format", "json").stdout
    done = machine.call("run", argv=["docker", "compose", *FILES, "config", "--format", "json"], cwd=folder, timeout=60)
    assert json.loads(base64.b64decode(done["stdout"])) == json.loads(real)


def test_lines_have_the_real_form(guide_project: Project, machine: Host) -> None:
    guide_host.healthy(guide_project)
    blobs = "/root/.ollama/models/blobs"
    for words, form in (
        (("compose", *FILES, "config", "--hash", "*"), r"(\w+ [0-9a-f]{64}\n){2}"),
        (
            ("exec", CONTAINER, "ls", "-ln", blobs),
            r"total \d+\n(-\S+ +1 +0 +0 +\d+ +\w+ +\d+ +\d\d:\d\d sha256-[0-9a-f]{64}\n){4}",
        ),
        (("exec", CONTAINER, "env"), r"(\w+=.*\n)+"),
        (("port", CONTAINER), r"11434/tcp -> \S+:\d+\n(11434/tcp -> \S+:\d+\n)?"),
    ):
        assert re.fullmatch(form, guide_project.engine.docker(*words, folder=guide_project.folder).stdout), words
        rc, ours, _ = in_lab(machine, *words)
        assert (rc, bool(re.fullmatch(form, ours))) == (0, True), ours
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
    real = guide_project.engine.docker("logs", "--timestamps", CONTAINER)
    _, out, err = in_lab(machine, "logs", "--timestamps", CONTAINER)
    assert all(stamp.match(line) for text in (real.stdout, real.stderr, out, err) for line in text.splitlines())


def test_what_goes_wrong_has_the_real_code_and_words(guide_project: Project, machine: Host) -> None:
    guide_host.not_loaded(guide_project)
    blob = "/root/.ollama/models/blobs/sha256-x"
    for words in (
        ("inspect", "--type", "container", "nosuch"),
        ("volume", "inspect", "nosuch"),
        ("volume", "rm", "nosuch"),
        ("logs", "nosuch"),
        ("exec", "nosuch", "env"),
        ("exec", CONTAINER, "cat", blob),
        ("exec", CONTAINER, "sha256sum", blob),
        ("exec", CONTAINER, "mv", "-f", blob, f"{blob}2"),
    ):
        real = guide_project.engine.docker(*words, check=False)
        rc, _, stderr = in_lab(machine, *words)
        assert (rc == 0) is (real.returncode == 0), words
        assert _plain(stderr) == _plain(real.stderr), words


def _plain(text: str) -> str:
    """The words without what versions and tools spell differently: quotes, the daemon's prefix, a capital letter."""
    text = re.sub(r"[\"'`\u2018\u2019]", "", text.strip().splitlines()[-1]).lower()
    return re.sub(r"^error( response from daemon)?: ", "", text)
