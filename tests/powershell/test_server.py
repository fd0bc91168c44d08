"""The probes ``server`` and ``server-change`` under a real PowerShell with a real SQLite: settings read, written, and the app restarted."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Probe, ProbeReply
from remediation.facets.scripts import source
from remediation.facets.services.serving import HostServicesWriter
from remediation.facets.services.windows import from_probe
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed
from remediation.model.facts import Manager, ServerProcess, Serving, Target
from tests.powershell.sqlite import TABLE, with_sqlite
from tests.powershell.windows import MACHINE, SERVICES, SID, USER, Windows, process, refused

USERS = f"Registry::HKEY_USERS\\{SID}\\Environment"
PROCESSES = [
    process(7000, "ollama app.exe", parent=1000, ExecutablePath="C:\\Programs\\ollama app.exe"),
    process(7001, "ollama.exe", parent=7000, CommandLine="C:\\Programs\\ollama.exe serve"),
    process(7002, "ollama.exe", parent=7001, CommandLine='"C:\\Programs\\ollama.exe" runner --model x'),
    process(7003, "ollama.exe", parent=1000, CommandLine="ollama.exe run mistral"),
    process(7004, "llama-server.exe", parent=7001),
]
APP = "C:\\Programs\\ollama app.exe"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    with with_sqlite(tmp_path_factory.mktemp("server")) as windows:
        windows.world["processes"] += PROCESSES
        yield windows


@pytest.fixture
def host(started: Windows) -> Iterator[Windows]:
    world = copy.deepcopy(started.world)
    yield started
    started.world = world
    started.restore()


def database(host: Windows) -> Path:
    path = host.profile / "AppData" / "Local" / "Ollama" / "db.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    made = sqlite3.connect(path)
    made.executescript(f"PRAGMA journal_mode=WAL; {TABLE}")
    made.close()
    return path


def row(path: Path) -> tuple[object, ...]:
    with sqlite3.connect(path) as there:
        found: tuple[object, ...] = there.execute("SELECT context_length, models, expose, device_id FROM settings").fetchone()
        return found


def written(host: Windows) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.written.read_text("utf-8").splitlines()] if host.written.exists() else []


def changed(host: Windows, disturbed: list[Mapping[str, Any]] | None = None, **data: Any) -> Any:
    whole = {
        "kind": None,
        "name": "",
        "values": [],
        "columns": None,
        "database": "",
        "arguments": "--hide",
        "sqlite": source("sqlite"),
        **data,
    }
    host.control(disturbed or [])
    (reply,) = host.connection.exchange([Probe("server-change", whole, timeout=60.0, writes=True)])
    assert isinstance(reply, ProbeReply), reply
    return reply.value


def test_only_the_settings_of_a_server_are_read_and_nothing_of_the_chats(host: Windows) -> None:
    path = database(host)
    value = host.answer("server", {"service": "OllamaNssm", "sqlite": source("sqlite")})
    assert value == {
        "Machine": [{"Name": "OLLAMA_KEEP_ALIVE", "Value": "10m", "Kind": "String"}],
        "User": [
            {"Name": "OLLAMA_MODELS", "Value": "%USERPROFILE%\\models", "Kind": "ExpandString"},
            {"Name": "OLLAMA_CONTEXT_LENGTH", "Value": "8192", "Kind": "String"},
        ],
        "Service": [
            {"Name": "OLLAMA_HOST", "Value": "0.0.0.0", "Kind": "MultiString", "Key": f"{SERVICES}\\OllamaNssm\\Parameters"}
        ],
        "Log": None,
        "Sid": SID,
        "Database": str(path),
        "App": {"schema_version": "12", "expose": "0", "browser": "0", "models": "D:\\modèles", "context_length": "32768"},
        "Problems": {},
    }
    serving = from_probe(Serving(Manager.WINDOWS_APP, process=ServerProcess(7001, USER)), value)
    assert serving.windows is not None
    assert serving.declared == {"OLLAMA_KEEP_ALIVE": "10m", "OLLAMA_MODELS": "D:\\modèles", "OLLAMA_CONTEXT_LENGTH": "32768"}
    assert [one.source for one in serving.settings if one.name == "OLLAMA_CONTEXT_LENGTH" and one.wins] == ["the app's settings"]
    assert (serving.windows.key, serving.windows.schema, serving.windows.unread) == (USERS, 12, "")
    service = from_probe(Serving(Manager.WINDOWS_SERVICE, "OllamaNssm"), value)
    assert service.declared == {"OLLAMA_KEEP_ALIVE": "10m", "OLLAMA_HOST": "0.0.0.0"}
    assert service.windows is not None
    assert service.windows.key == MACHINE


@pytest.mark.parametrize(
    ("disturbed", "missing_parts"),
    [
        (refused("Remediation.Sqlite::Run"), {"App"}),
        (refused("Get-Item", MACHINE), {"Machine"}),
        (refused("Get-Item", SID), {"User"}),
        (refused("Test-Path", SERVICES), {"Service", "Log"}),
        (refused("Invoke-CimMethod"), {"Sid", "User", "Profile", "Database", "App"}),
    ],
    ids=lambda value: value["Command"] if isinstance(value, dict) else "",
)
def test_each_part_is_refused_alone(host: Windows, disturbed: dict[str, Any], missing_parts: set[str]) -> None:
    database(host)
    value = host.answer("server", {"service": "OllamaNssm", "sqlite": source("sqlite")}, disturbed=[disturbed])
    assert value["Problems"].keys() == missing_parts


NSSM = {"AppDirectory": "C:\\ollama", "Application": "C:\\ollama\\ollama.exe"}


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ({"AppStdout": "C:\\logs\\out.log", "AppStderr": "C:\\logs\\err.log"}, "C:\\logs\\err.log"),
        ({"AppStdout": "D:\\out.log"}, "D:\\out.log"),
        ({"AppStderr": ""}, None),
        ({}, None),
    ],
)
def test_the_log_of_a_service_is_where_nssm_sends_its_output(host: Windows, values: dict[str, str], log: str | None) -> None:
    host.world["registry"][f"{SERVICES}\\OllamaNssm\\Parameters"] |= {**NSSM, **values}
    value = host.answer("server", {"service": "OllamaNssm", "process": 7001, "sqlite": source("sqlite")})
    assert (value["Log"], value["Problems"]) == (log, {})
    serving = from_probe(Serving(Manager.WINDOWS_SERVICE, "OllamaNssm", process=ServerProcess(7001, USER)), value)
    assert serving.process is not None
    assert serving.process.log == (log or "")


@pytest.mark.parametrize(
    ("text", "folder"), [("<service><id>o</id></service>", ""), ("<service><logpath>%BASE%/logs</logpath></service>", "logs")]
)
def test_the_log_of_a_service_is_where_winsw_writes(host: Windows, text: str, folder: str) -> None:
    base = host.programs / "Ollama service"
    base.mkdir(exist_ok=True)
    (base / "ollama-service.xml").write_text(text, "utf-8")
    host.world["registry"][f"{SERVICES}\\WinSW"] = {"ImagePath": f'"{base / "ollama-service.exe"}" --run'}
    value = host.answer("server", {"service": "WinSW", "process": 7001, "sqlite": source("sqlite")})
    assert Path(value["Log"]) == base / folder / "ollama-service.err.log"


@pytest.mark.parametrize(
    ("name", "line", "log"),
    [
        ("cmd.exe", 'cmd /c "C:\\o\\ollama.exe serve > C:\\o\\all.log 2>&1"', "C:\\o\\all.log"),
        ("cmd.exe", 'cmd /c ollama serve >"C:\\my logs\\out.log" 2>>C:\\o\\err.log', "C:\\o\\err.log"),
        ("cmd.exe", "cmd /c ollama serve 1> C:\\o\\out.log", "C:\\o\\out.log"),
        ("pwsh.exe", "pwsh -c ollama serve 2>&1 > C:\\o\\out.log", "C:\\o\\out.log"),
        ("cmd.exe", "cmd /c ollama serve > NUL 2>&1", None),
        ("cmd.exe", None, None),
        ("explorer.exe", "explorer > C:\\o\\out.log", None),
    ],
)
def test_the_log_of_a_task_is_where_its_shell_sends_the_output(
    host: Windows, name: str, line: str | None, log: str | None
) -> None:
    host.world["processes"] += [
        process(8000, name, CommandLine=line),
        process(8001, "ollama.exe", parent=8000, CommandLine="ollama serve"),
    ]
    value = host.answer("server", {"service": None, "process": 8001, "sqlite": source("sqlite")})
    assert (value["Log"], value["Problems"]) == (log, {})


def test_a_database_that_is_none_is_said(host: Windows) -> None:
    database(host).write_bytes(b"this is not a database, but a text of some length")
    value = host.answer("server", {"service": None, "sqlite": source("sqlite")})
    assert (value["App"], value["Problems"]) == (None, {"App": "SQLite: file is not a database"})


def test_without_a_compiler_or_the_library_the_reason_is_said_and_the_rest_arrives(tmp_path: Path) -> None:
    host = Windows(tmp_path)
    try:
        database(host)
        value = host.answer(
            "server",
            {"service": None, "sqlite": source("sqlite")},
            disturbed=[refused("Add-Type", Message="Not in this language mode.")],
        )
        assert (value["Problems"], len(value["User"])) == ({"App": "Not in this language mode."}, 2)
        assert host.answer("server", {"service": None, "sqlite": source("sqlite")})["Problems"].keys() == {"App"}
    finally:
        host.close()


def test_the_app_is_stopped_before_its_database_is_written_and_started_at_the_desktop(host: Windows) -> None:
    path = database(host)
    done = changed(host, kind="app", database=str(path), columns={"context_length": "4096"})
    assert done == {"Steps": ["stopped the app", "wrote context_length", "started the app"], "Problem": None, "Problems": {}}
    assert row(path) == (4096, "D:\\modèles", 0, "my-device")
    assert sorted(each.name for each in host.ended.iterdir()) == [
        "7000",
        "7001",
        "7002",
        "7004",
    ]  # the user's client is left alone
    assert host.started.read_text("utf-8") == f"{APP} --hide\n"


def test_the_app_is_started_again_although_its_database_could_not_be_written(host: Windows) -> None:
    path = database(host)
    done = changed(host, [refused("Remediation.Sqlite::Run")], kind="app", database=str(path), columns={"context_length": "4096"})
    assert ("denied" in done["Problem"], done["Steps"]) == (True, ["stopped the app", "started the app"])
    assert row(path)[0] == 32768


def test_without_a_user_at_the_desktop_nothing_is_stopped(host: Windows) -> None:
    host.world["console"] = None
    host.world["processes"] = [each for each in host.world["processes"] if each["Name"] != "explorer.exe"]
    done = changed(host, kind="app")
    assert "no user is logged on" in done["Problem"]
    assert list(host.ended.iterdir()) == []


def test_values_of_the_registry_keep_their_type_and_lists_their_other_lines(host: Windows) -> None:
    service = f"{SERVICES}\\OllamaNssm\\Parameters"
    values = [
        {"key": USERS, "name": "OLLAMA_CONTEXT_LENGTH", "value": None, "kind": "String", "list": None},
        {"key": MACHINE, "name": "OLLAMA_NUM_PARALLEL", "value": "1", "kind": "ExpandString", "list": None},
        {"key": service, "name": "OLLAMA_HOST", "value": "127.0.0.1", "kind": "MultiString", "list": "AppEnvironmentExtra"},
    ]
    assert changed(host, values=values, kind="service", name="OllamaNssm")["Problem"] is None
    assert written(host) == [
        {"key": USERS, "name": "OLLAMA_CONTEXT_LENGTH", "value": None, "kind": None},
        {"key": MACHINE, "name": "OLLAMA_NUM_PARALLEL", "value": "1", "kind": "ExpandString"},
        {"key": service, "name": "AppEnvironmentExtra", "value": ["A=b", "OLLAMA_HOST=127.0.0.1"], "kind": "MultiString"},
    ]
    assert host.started.read_text("utf-8") == "service OllamaNssm\n"


def test_what_is_refused_is_one_sentence(host: Windows) -> None:
    def no_container(_: str) -> None:
        return None

    host.control([refused("New-ItemProperty")])
    writer = HostServicesWriter(
        Snapshot(lambda: host.connection, changing=True), lambda: Target(None, None, None, None, None, None), no_container
    )
    value = {"key": MACHINE, "name": "OLLAMA_NUM_PARALLEL", "value": "1", "kind": "String", "list": None}
    with pytest.raises(CallFailed, match="changing the settings of the Ollama app failed: Access is denied"):
        writer.change_windows(values=[value])
