"""A native Ollama server on Windows: where its settings come from, and changing them (probes ``server`` and ``server-change``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.connections.calls import Probe
from remediation.facets.machine.rights import problems
from remediation.facets.scripts import source
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import Blocked, CallFailed
from remediation.model.facts import Manager, Serving, SourcedSetting, WindowsServer
from remediation.model.text.digits import is_whole

COLUMNS = {
    "OLLAMA_HOST": "expose",
    "OLLAMA_ORIGINS": "browser",
    "OLLAMA_MODELS": "models",
    "OLLAMA_CONTEXT_LENGTH": "context_length",
}
"""Variables that the app sets from its database, over those of its environment (ollama app/server/server.go, v0.12.10 and newer)."""
NEWEST_SCHEMA = 18
"""The newest version of the app's database that is known (v0.33.0); an unknown one is not written."""
_ARGUMENTS = "--hide --fast-startup"
_RIGHTS = "log in with an elevated account (docs/windows.md)"
_HKU = "Registry::HKEY_USERS"
_MACHINE = r"Registry::HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
_KINDS = {Manager.WINDOWS_APP: "app", Manager.WINDOWS_SERVICE: "service", Manager.WINDOWS_TASK: "task"}


def with_settings_of(snapshot: Snapshot, serving: Serving) -> Serving:
    """Return a Windows server with its settings and their sources."""
    service = serving.name if serving.manager is Manager.WINDOWS_SERVICE else None
    # the app writes its log at a known place
    process = serving.process.pid if serving.process is not None and serving.manager is not Manager.WINDOWS_APP else None
    data = {"service": service or None, "process": process, "sqlite": source("sqlite")}
    value = snapshot.probe(Probe("server", data, timeout=60.0), "reading the settings of Ollama")
    return from_probe(serving, value)


def from_probe(serving: Serving, value: Mapping[str, Any]) -> Serving:
    """Convert the answer of the ``server`` probe."""
    refused = problems(value)
    app, account = serving.manager is Manager.WINDOWS_APP, serving.manager is not Manager.WINDOWS_SERVICE
    sid, user = str(value["Sid"] or ""), serving.process.user if serving.process is not None else "the desktop user"
    home = rf"{_HKU}\{sid}\Environment" if sid else ""
    row = {name: str(each) for name, each in (value["App"] or {}).items() if each is not None} if app else {}
    given = [
        *_rows(value["Machine"], "the machine's environment", _MACHINE),
        *(_rows(value["User"], f"the environment of {user}", home) if account else ()),
        *(_rows(value["Service"], f"the service {serving.name}", "") if not account else ()),
        *(SourcedSetting(*one, "the app's settings", wins=True, file=str(value["Database"])) for one in _of_row(row)),
    ]
    last = {one.name: number for number, one in enumerate(given)}
    settings = tuple(replace(one, wins=number == last[one.name]) for number, one in enumerate(given))
    schema = row.get("schema_version", "")
    windows = WindowsServer(
        user, home if app and home else _MACHINE, serving.process.path if serving.process is not None else "",
        str(value["Database"] or "") if app else "", int(schema) if is_whole(schema) else None, row,
        refused.get("App", refused.get("Database", "")) if app else "",
    )  # fmt: skip
    process = replace(serving.process, log=str(value.get("Log") or "")) if serving.process is not None else None
    if serving.manager is Manager.PROCESS:  # the environment of a shell is not known
        return replace(serving, process=process)
    return replace(serving, settings=settings, windows=windows, process=process)


def _rows(rows: Sequence[Mapping[str, Any]] | None, source: str, key: str) -> Iterator[SourcedSetting]:
    for row in rows or ():
        where = str(row.get("Key") or key)
        yield SourcedSetting(str(row["Name"]), str(row["Value"]), source, wins=True, file=where, kind=str(row["Kind"]))


def _of_row(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that the app sets for its server."""
    if row.get("expose") == "1":
        yield "OLLAMA_HOST", "0.0.0.0"  # the address that the app itself writes
    if row.get("browser") == "1":
        yield "OLLAMA_ORIGINS", "*"
    if row.get("models"):
        yield "OLLAMA_MODELS", row["models"]
    if row.get("context_length", "0") != "0":
        yield "OLLAMA_CONTEXT_LENGTH", row["context_length"]


def change_windows(
    snapshot: Snapshot, serving: Serving, *, values: Sequence[Mapping[str, Any]] = (), columns: Mapping[str, str] | None = None,
    restart: bool = False,
) -> None:  # fmt: skip
    """Write settings and restart the server. Columns of the app's database are written while the app is stopped."""
    windows = serving.windows
    kind = _KINDS.get(serving.manager) if restart or columns else None
    if restart and (kind is None or (kind != "app" and not serving.name)):
        raise Blocked(
            f"nothing is known that starts {serving.words} again", host=snapshot.host,
            next_step="restart it the way it was started; for a scheduled task: end and run it in the Task Scheduler",
        )  # fmt: skip
    data = {
        "kind": kind, "name": serving.name, "values": [dict(each) for each in values], "columns": dict(columns) if columns else None,
        "database": windows.database if windows is not None else "", "arguments": _ARGUMENTS,
        "sqlite": source("sqlite") if columns else "",
    }  # fmt: skip
    what = f"restarting {serving.words}" if restart and not columns else f"changing the settings of {serving.words}"
    done = snapshot.probe(Probe("server-change", data, timeout=180.0, writes=True), what)
    if done["Problem"]:
        so_far = f"; done before: {', '.join(done['Steps'])}" if done["Steps"] else ""
        raise CallFailed(f"{what} failed: {done['Problem']}{so_far}", host=snapshot.host, next_step=_RIGHTS)
