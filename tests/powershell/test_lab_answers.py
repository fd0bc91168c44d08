"""The lab's machines answer a real PowerShell as they answer the stand-in: key by key, value by value, type by type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from remediation.connections.calls import Call, Http, Probe, ReadFile, Run, WriteFile
from remediation.facets.scripts import source
from remediation_lab.programs import nvidia_smi
from remediation_lab.scenarios.faults import FAULTS, FOLDER, MODEL
from remediation_lab.world.state import State
from tests.powershell.lab import Pair, plain

API = "http://127.0.0.1:11434"
FIELDS = [*nvidia_smi.FIELDS, "compute_cap", "utilization.gpu"]


def _administrator(_: State) -> None:
    """The login of the lab."""


def _user(state: State) -> None:
    state.login.elevated = False


def _no_rights(state: State) -> None:
    state.login.elevated, state.login.restricted, state.closed = False, True, ["C:\\dev"]


def _himself(state: State) -> None:
    state.login.elevated, state.login.user = False, state.login.desktop_user or state.login.user


LOGINS = {each.__name__.strip("_"): each for each in (_administrator, _user, _no_rights, _himself)}

REASONS: Mapping[str, str] = {
    "session value.PSVersion": "a real PowerShell tells its own version",
    "facts value.PSVersion": "the same",
    "facts value.Problems.Addresses": "the machine's name is in no name server",
    "facts value.Zone": "the words are those of the system's data on time zones",
    "facts value.UserProfile": "the login of a machine changes in the test; the variables of a process do not",
}
"""Differences that stay, by the beginning of their text, each with its reason."""


def looks() -> Iterator[Call]:
    """Yield what changes nothing."""
    for name in ("session", "system", "facts", "processes", "readiness", "desktop"):
        yield Probe(name)
    yield Probe("gpu", {"fields": FIELDS, "fallback": ["index"]})
    yield Probe("gpu", {"fields": ["index", "no_such_field"], "fallback": ["index", "uuid"]})
    yield Probe("sample", {"fields": ["memory.used"], "every": 20, "count": 2})
    for name in ("Spooler", "print spooler", "WinRM", "com.docker.service", "no-such-service"):
        yield Probe("service", {"name": name, "action": "read"})
    for name in (None, "Spooler", "no-such-service"):
        yield Probe("server", {"service": name, "sqlite": source("sqlite")}, timeout=60.0)
    for path in (f"{FOLDER}\\.env", FOLDER, "C:\\nowhere\\x", "C:\\Users\\maria", "C:\\Windows\\System32\\nvidia-smi.exe"):
        yield Probe("status", {"path": path, "follow": True, "algorithm": None})
    yield Probe("status", {"path": f"{FOLDER}\\.env", "follow": False, "algorithm": "sha256"})
    for path in (FOLDER, "C:\\", "C:\\nowhere", "E:\\", "D:\\models", "C:\\Users\\maria"):
        yield Probe("folder", {"path": path})
    yield Probe("requests", {"paths": [f"{FOLDER}\\.env", "C:\\nowhere\\x.json", "C:\\Users\\maria\\x.json"]})
    yield ReadFile(f"{FOLDER}\\.env")
    yield ReadFile(f"{FOLDER}\\.env", limit=5, tail=True)
    yield ReadFile("C:\\nowhere\\x")
    yield Run(("hostname",))
    yield Run(("docker", "ps", "--format", "json"))
    yield Run(("no-such-program", "x"))
    yield Run(("lab-echo", "two words", 'a "quote"', "back\\slash\\", ""), stdin=b"in", cwd=FOLDER, env={"WORD": "é 1"})
    for path in ("/api/version", "/api/tags", "/api/ps", "/none"):
        yield Http("GET", API + path)
    yield Http("GET", "http://127.0.0.1:9/none")


def changes(state: State) -> Iterator[Call]:
    """Yield what changes the machine, one after the other."""
    yield Probe("lease", {"folder": "C:\\ProgramData\\remediation\\lease", "make": 1, "list": True}, writes=True)
    yield Probe(
        "lease", {"folder": "C:\\ProgramData\\remediation\\lease", "make": 1, "remove": [1, 7], "list": True}, writes=True
    )
    yield Probe("file", {"action": "make", "path": "C:\\Users\\ops\\new\\er"}, writes=True)
    yield WriteFile("C:\\Users\\ops\\new\\one.txt", b"\0text\r\n")
    yield WriteFile("C:\\Users\\ops\\new\\one.txt", b"new", backup="C:\\Users\\ops\\new\\one.bak")
    yield WriteFile("C:\\nowhere\\one.txt", b"text")
    yield WriteFile(f"{FOLDER}\\.env", b"OLLAMA_MODEL=other\n")
    yield Probe(
        "file", {"action": "rename", "path": "C:\\Users\\ops\\new\\one.bak", "to": "C:\\Users\\ops\\new\\one.txt"}, writes=True
    )
    yield Probe("file", {"action": "rename", "path": "C:\\Users\\ops\\new\\one.bak", "to": "C:\\nowhere\\x"}, writes=True)
    yield Probe("file", {"action": "rename", "path": "C:\\Users\\ops\\new\\none", "to": "C:\\Users\\ops\\new\\x"}, writes=True)
    yield Probe("file", {"action": "remove", "path": "C:\\Users\\ops\\new\\one.bak"}, writes=True)
    yield Probe("file", {"action": "remove", "path": "C:\\nowhere\\none"}, writes=True)
    yield Probe("file", {"action": "copy", "path": "x"}, writes=True)
    # the message is still there at the next look, however late that is
    yield Probe("notify", {"message": 'é\'s "$x" `n', "seconds": 3600}, writes=True)
    for name in ("chrome.exe", "Discord.exe", "lsass.exe", "winrshost.exe"):
        yield from _closed(state, name)
    yield Probe("close", {"pid": 4711, "started": 1.0, "grace": 1, "force": False}, writes=True)
    for action in ("stop", "start", "pause"):
        for name in ("Spooler", "no-such-service"):
            yield Probe("service", {"name": name, "action": action}, writes=True)
    for action in ("stop", "start", "kill", "dance"):
        yield Probe("docker-desktop", {"action": action, "seconds": 30}, writes=True)


def _closed(state: State, name: str) -> Iterator[Call]:
    for each in [each for each in state.programs if each.name == name][:1]:
        for force in (False, True):
            yield Probe(
                "close", {"pid": each.pid, "started": each.started, "grace": 10, "force": force}, timeout=120, writes=True
            )


def unexplained(found: list[str]) -> list[str]:
    return [each for each in found if not any(each.startswith(reason) for reason in REASONS)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("pair"))
    yield made
    made.close()


def compared(pair: Pair, fault: str, login: str) -> list[str]:
    pair.set(fault, LOGINS[login])
    found: list[str] = []
    for call in looks():
        found += pair.differences(call)
    for call in changes(pair.ours.machine.state):
        found += pair.differences(call)
    return unexplained(found)


def shape(value: object) -> object:
    """Return the keys and types of a JSON value. How many samples a list has depends on this computer."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return type(value).__name__


@pytest.mark.parametrize("sample", [True, False])
def test_a_measured_request_has_the_same_keys_and_types(pair: Pair, sample: bool) -> None:
    pair.set("vram-occupied")
    for url in (f"{API}/api/generate", "http://127.0.0.1:9/api/generate"):
        body = json.dumps({"model": MODEL, "prompt": "Hello", "options": {"num_predict": 32}})
        call = Probe("generate", {"url": url, "body": body, "timeout": 600, "sample": sample}, timeout=620)
        ours, real = (plain(each) for each in pair.both(call))
        assert shape(real) == shape(ours)
    assert (real["value"]["error"]["kind"]) == "refused"


SAMPLE = [("vram-occupied", "administrator"), ("no-rights", "no_rights")]


@pytest.mark.parametrize(("fault", "login"), SAMPLE)
def test_a_real_powershell_answers_as_the_stand_in(pair: Pair, fault: str, login: str) -> None:
    assert compared(pair, fault, login) == []


@pytest.mark.every
@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("fault", [each for each in FAULTS if each != "constrained-language"])
def test_every_fault_and_login(pair: Pair, fault: str, login: str) -> None:
    assert compared(pair, fault, login) == []
