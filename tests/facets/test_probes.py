"""The shipped probes: what a script emits, what the lab's stand-in emits and what the reader reads have the same keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Probe
from remediation.facets.gpu import devices as gpu
from remediation.facets.host_factory import open_host
from remediation.facets.machine import processes, system
from remediation.facets.machine import session as desktop
from remediation.facets.scripts import script
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import UsageError
from remediation_lab import control
from tests.facets import powershell
from tests.facets.real_hosts import LAB_MODEL, lab_variables

URL = "http://127.0.0.1:11434"
DATA: dict[str, dict[str, Any]] = {
    "gpu": {"fields": ["index", "memory.used"], "fallback": ["index"]},
    "http": {
        "method": "GET",
        "url": f"{URL}/api/ps",
        "body": None,
        "timeout": 10,
        "stream": False,
        "silence": None,
        "tell": True,
    },
    "generate": {
        "url": f"{URL}/api/generate",
        "body": f'{{"model": "{LAB_MODEL}", "prompt": "x"}}',
        "timeout": 60,
        "sample": True,
    },
    "close": {"pid": 1, "started": 0.0, "grace": 0, "force": False},
    "sample": {"fields": ["index", "utilization.gpu", "memory.used"], "every": 1, "count": 2},
    "folder": {"path": "C:\\dev\\activia1", "entries": True},
    "lease": {"folder": "C:\\ProgramData\\remediation\\lease", "make": 7, "remove": [3], "list": True},
    "requests": {"paths": ["C:\\dev\\activia1\\.env"]},
    "file": {"action": "remove", "path": "C:\\dev\\activia1\\no-such", "to": None},
    "status": {"path": "C:\\dev\\activia1\\.env", "follow": False, "algorithm": "sha1"},
    "server": {"process": 7, "service": None, "sqlite": ""},
    "server-change": {
        "kind": None,
        "name": "",
        "values": [],
        "database": "",
        "columns": None,
        "arguments": "",
        "sqlite": "",
    },
    "service": {
        "name": "Spooler",
        "action": "stop",
        "force": False,
        "start_mode": None,
        "path": None,
        "display_name": None,
        "description": None,
        "username": None,
    },
    "powershell": {
        "script": "hostname",
        "parameters": {},
        "arguments": [],
        "chdir": None,
        "error_action": "continue",
        "depth": 2,
        "check": False,
        "environment": {},
    },
    "docker-desktop": {"action": "start", "seconds": 0},
    "notify": {"message": "hello", "seconds": 5},
}
INTERNAL = {"process", "stdout", "method", "url", "timeout", "silence", "tell", "keep"}
"""Keys of hash literals that are no part of an answer."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "windows.md"


class Recording(dict[str, Any]):
    """A mapping that knows which of its keys were read."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


def answer(lab: control.Lab, name: str) -> Any:
    host = open_host(lab.hosts[0].name, lab_variables(lab), check=False)
    try:
        writes = name in {"generate", "close", "file", "docker-desktop", "notify", "server-change", "service", "powershell"}
        return Snapshot(lambda: host.connection, changing=True).probe(
            Probe(name, DATA.get(name, {}), timeout=60.0, writes=writes), name
        )
    finally:
        host.close()


REASONS = {"Problems", "task", "task_code", "task_result"}
"""Keys that say why a part of an answer is missing, and what became of a task; ``Problems`` holds texts by the names of parts."""


FREE = {"Problems", "Environment"}
"""Keys of mappings whose own keys the host chooses."""


def shapes(value: Any) -> set[frozenset[str]]:
    if isinstance(value, list):
        return set().union(*map(shapes, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    return {frozenset(value), *set().union(*(shapes(each) for key, each in value.items() if key not in FREE))}


@pytest.mark.parametrize("name", powershell.NAMES)
def test_a_script_parses_and_is_fit_for_windows_powershell(name: str) -> None:
    tree, source = powershell.parsed(name), script(name)
    assert not tree.has_error
    assert source.isascii()
    assert "\r" not in source
    assert re.search(r"^param\(\$Data\)$", source, re.MULTILINE)
    # 5.1 has no ternary, no null-coalescing, no && between pipelines; text from outside is never run
    for word in (
        "$input",
        "Invoke-Expression",
        "iex ",
        " ?? ",
        "?.",
        " && ",
        " || ",
        "-AsHashtable",
        "-AsArray",
        "ForEach-Object -Parallel",
    ):
        assert word not in source, word
    assert len(re.findall(r"ConvertTo-Json -Depth 20 -Compress -InputObject", source)) == source.count("ConvertTo-Json") == 1
    assert "$ProgressPreference = 'SilentlyContinue'" in source


def test_each_probe_of_the_protocol_is_there_and_no_other() -> None:
    table = (Path(__file__).parents[2] / "docs" / "worker-protocol.md").read_text(encoding="utf-8").split("## Probes")[1]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == powershell.NAMES
    with pytest.raises(UsageError, match=r"probe \.\./system"):
        script("../system")


@pytest.mark.parametrize("name", powershell.NAMES)
def test_the_stand_in_answers_with_the_scripts_keys(lab: control.Lab, name: str) -> None:
    control.fault(lab.hosts[0].name, "vram-occupied", lab.folder)
    emitted = {keys - REASONS for keys in powershell.keys(name)}
    # what only wraps a list that may be refused is no part of it
    answered = {keys - REASONS for keys in shapes(answer(lab, name))} - {frozenset({"Processes"}), frozenset()}
    assert answered
    assert answered <= emitted, f"the stand-in of {name} answers with keys that the script does not have"


@pytest.mark.parametrize("name", sorted(DATA))
def test_a_script_reads_the_data_it_is_given(name: str) -> None:
    # `stream` tells the client that each line matters; the script stamps the first byte in any case
    assert set(DATA[name]) - {"stream"} == powershell.reads(name)


def test_the_readers_read_what_the_scripts_emit(lab: control.Lab) -> None:
    control.fault(lab.hosts[0].name, "vram-occupied", lab.folder)
    session, machine = Recording(answer(lab, "session")), Recording(answer(lab, "system"))
    desktop.session_from_probe(session, remote=True)
    system.system_from_probe(machine)
    rows = [Recording(row) for row in answer(lab, "processes")["Processes"]]
    running = processes.from_rows(rows)
    use = Recording(answer(lab, "gpu") | {"fields": list(gpu.USE_PROBE.data["fields"])})
    use["process_memory"][:] = held = [Recording(row) for row in use["process_memory"]]
    use["adapter_memory"][:] = adapters = [Recording(row) for row in use["adapter_memory"]]
    use["stdout"] = "0, GPU-1, NVIDIA GeForce RTX 3060, 551.86, 6144, 5000, 1144, 96, 3, WDDM, 8.6\r\n"
    gpu.use_from_probe(use, running, "laptop-07")
    read = {
        "session": session.read, "system": machine.read, "processes": set().union(*(row.read for row in rows)),
        "gpu": use.read, "process_memory": set().union(*(row.read for row in held)), "adapter_memory": set().union(*(row.read for row in adapters)),
    }  # fmt: skip
    unread = {name: set(of) - read[name] - REASONS for name, of in (
        ("session", session), ("system", machine), ("processes", rows[0]), ("gpu", use), ("process_memory", held[0]), ("adapter_memory", adapters[0]),
    )}  # fmt: skip
    # what is passed on to the diagnosis of a leak or a spill, and to people
    assert unread == {
        "session": set(), "system": {"Caption"}, "processes": set(), "gpu": {"stderr"} - read["gpu"],
        "process_memory": {"DedicatedUsage", "SharedUsage"}, "adapter_memory": {"SharedUsage"},
    }  # fmt: skip


@pytest.mark.parametrize("name", powershell.NAMES)
def test_each_field_has_a_sample_or_is_listed_as_unproven(name: str) -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    section = page.split(f"### `{name}`", 1)[1].split("\n### ", 1)[0]
    listed = set(re.findall(r"`([\w-]+)`", section))
    fields = set().union(*powershell.keys(name)) - {"kind", "message"} - INTERNAL
    assert fields <= listed, f"docs/windows.md says nothing of {sorted(fields - listed)}"
