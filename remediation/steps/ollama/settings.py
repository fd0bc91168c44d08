"""The places of a native server's settings: what it gets at its next start, and the changes that write it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remediation.diagnosis.versions import parse_version
from remediation.facets.protocols import Reader
from remediation.facets.services.unit_files import drop_in_after, drop_in_of, with_environment_line, with_settings
from remediation.facets.services.windows import COLUMNS, NEWEST_SCHEMA
from remediation.model.change import Change, Need, Risk, StepCall, needs
from remediation.model.errors import NO_ANSWER, HostError
from remediation.model.facts import Manager, ServiceUnit, Serving, SourcedSetting, WindowsServer
from remediation.model.facts.server import snap_advice
from remediation.model.finding import Setting
from remediation.steps.file_edit import file_edit
from remediation.steps.model.ollama_settings import cards_of, judge_declared

APP = "app"
"""The place of a setting in the database of the Windows app, in `ollama.setting_restored`."""


@dataclass(frozen=True, slots=True)
class SettingsPlace:
    """The settings that a server gets at its next start, with their sources, judged for its release.

    This class writes none: the server's environment is that of the shell that started it, or cannot be read.
    """

    serving: Serving
    environment: Mapping[str, str]
    sources: Sequence[SourcedSetting]
    judged: tuple[Setting, ...]

    @property
    def name(self) -> str:
        """The name of the service, or a description of the server."""
        return self.serving.name or self.serving.words

    @property
    def where(self) -> str:
        """The server in words."""
        return f"of {self.serving.words}"

    def remark(self, going: Sequence[str]) -> str:
        """Return what a change would affect besides the server, or ""."""
        return ""

    def source(self, name: str) -> str:
        """Return the place whose value of a setting the server gets, or ""."""
        return next((one.file or one.source for one in self.sources if one.name == name and one.wins), "")

    def edits(self, going: Sequence[str], put: Mapping[str, str]) -> Iterator[Change]:
        """Yield the changes that remove and set these settings."""
        yield from ()

    def by_hand(self, going: Sequence[str], put: Mapping[str, str]) -> str:
        """Return how a person changes these settings."""
        unit = self.serving.users_unit
        if unit and self.serving.process is not None and (going or put):
            lines = [f"UnsetEnvironment={name}" for name in going] + [
                f'Environment="{name}={value}"' for name, value in put.items()
            ]
            return (
                f"as {self.serving.process.user}, run systemctl --user edit {unit}, add [Service] and {', '.join(lines)}, "
                f"then systemctl --user restart {unit}"
            )
        words = [f"without {name}" for name in going] + [f"with {name}={value}" for name, value in put.items()]
        how = f"stop it (kill {self.serving.process.pid}) and start" if self.serving.process is not None else "start"
        return f"{how} Ollama again {' and '.join(words)}" if words else ""


@dataclass(frozen=True, slots=True)
class GuestSettings(SettingsPlace):
    """The settings of a systemd unit in a distribution of WSL. They are read from Windows and not changed."""

    def by_hand(self, going: Sequence[str], put: Mapping[str, str]) -> str:
        """Return the commands for a terminal of Windows, with the lines of a drop-in."""
        lines = [f"UnsetEnvironment={name}" for name in going] + [f'Environment="{name}={value}"' for name, value in put.items()]
        unit, inside = self.serving.guest_unit, f"wsl -d {self.serving.name} -u root -- systemctl"
        return f"run {inside} edit {unit}, add [Service] and {', '.join(lines)}, then {inside} restart {unit}" if lines else ""


@dataclass(frozen=True, slots=True)
class SnapSettings(SettingsPlace):
    """The settings of a snap, whose launcher overrides what systemd passes to it. They are not changed."""

    def by_hand(self, going: Sequence[str], put: Mapping[str, str]) -> str:
        """Return the commands of ``snap``."""
        snap = self.serving.unit.snap if self.serving.unit is not None else ""
        return snap_advice(snap, {**dict.fromkeys(going), **put}) if going or put else ""


@dataclass(frozen=True, slots=True)
class UnitSettings(SettingsPlace):
    """The settings of a systemd unit; ``gpu_containers`` are running ones that use a GPU.

    ``texts`` are the files that the step may edit, by path; a missing file is empty.
    """

    unit: ServiceUnit = field(default_factory=lambda: ServiceUnit(""))
    drop_in: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    gpu_containers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the unit."""
        return self.unit.name

    def remark(self, going: Sequence[str]) -> str:
        """Name the containers that may lose the GPU."""
        if not self.gpu_containers:
            return ""
        return f"{', '.join(self.gpu_containers)} may lose the GPU when systemd reads its unit files again"

    def edits(self, going: Sequence[str], put: Mapping[str, str]) -> Iterator[Change]:
        """Yield one change per file: environment files that would win over a drop-in, and the drop-in."""
        files = {name: self.source(name) for name in put}
        by_file = {path: [name for name in files if files[name] == path] for path in files.values() if self._wins(path)}
        for path, names in by_file.items():
            text = self.texts[path]
            for name in names:
                text = with_environment_line(text, name, put[name])
            yield self._edit(path, text, {}, {name: put[name] for name in names})
        rest = {name: value for name, value in put.items() if files[name] not in by_file}
        places = {name: drop_in_after(self.drop_in, files[name]) for name in rest}
        for path in dict.fromkeys([*((self.drop_in,) if going else ()), *places.values()]):
            made, removed = {name: rest[name] for name in rest if places[name] == path}, going if path == self.drop_in else ()
            yield self._edit(path, with_settings(self.texts.get(path, ""), made, removed), dict.fromkeys(removed), made)

    def _wins(self, path: str) -> bool:
        """Whether a file wins over every drop-in: an environment file does (systemd.exec)."""
        return bool(path) and not path.endswith((".conf", ".service")) and path in self.texts

    def _edit(self, path: str, text: str, removed: Mapping[str, None], made: Mapping[str, str]) -> Change:
        return file_edit(
            f"{_words(removed, made)} for {self.serving.words} in {path}", path, self.texts.get(path) or None, text,
            restore={"unit": self.unit.name},
            data={"service": self.unit.name, "environment": {**removed, **made}, "own": self.unit.own},
            before={name: self.unit.environment.get(name) for name in (*removed, *made)}, after=dict(made),
            needs=None if self.unit.own else needs(Need.ELEVATED),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class WindowsSettings(SettingsPlace):
    """The settings of a native server on Windows: environments in the registry, and the database of the app, which wins."""

    windows: WindowsServer = field(default_factory=lambda: WindowsServer("", ""))

    def remark(self, going: Sequence[str]) -> str:
        """Say why the database of the app is not known."""
        return f"the app's settings could not be read ({self.windows.unread})" if self.windows.unread else ""

    def edits(self, going: Sequence[str], put: Mapping[str, str]) -> Iterator[Change]:
        """Yield one change per variable of the registry, and one for the database of the app, which is restarted for it."""
        columns: dict[str, str] = {}
        for name in going:
            for one in self._places(name):
                if self._in_database(one):
                    columns[COLUMNS[name]] = "" if name == "OLLAMA_MODELS" else "0"
                else:
                    yield self._write(one.file, name, None, one)
        for name, value in put.items():
            now = next((each for each in self.sources if each.name == name and each.wins), None)
            if now is not None and self._in_database(now):
                if name == "OLLAMA_CONTEXT_LENGTH":
                    columns[COLUMNS[name]] = value
                    continue
                columns[COLUMNS[name]] = "" if name == "OLLAMA_MODELS" else "0"
            there = next((each for each in reversed(self._places(name)) if not self._in_database(each)), None)
            if there is None or there.value != value:
                yield self._write(there.file if there is not None else self.windows.key, name, value, there)
        if columns and self._known:
            yield self._store(columns, [*going, *put])

    @property
    def _known(self) -> bool:
        return self.windows.schema is not None and self.windows.schema <= NEWEST_SCHEMA

    @property
    def _silent(self) -> bool:
        """Whether nothing shows the settings of a running service, so that it is restarted with each change of them."""
        process = self.serving.process
        return self.serving.manager is Manager.WINDOWS_SERVICE and process is not None and not process.log

    def _places(self, name: str) -> list[SourcedSetting]:
        return [one for one in self.sources if one.name == name]

    def _in_database(self, one: SourcedSetting) -> bool:
        return bool(self.windows.database) and one.file == self.windows.database

    def _write(self, key: str, name: str, value: str | None, now: SourcedSetting | None) -> Change:
        kind = now.kind if now is not None and now.kind else "String"
        words = f"remove {name} from" if value is None else f"set {name}={value} in"
        where = now.source if now is not None else f"the environment of {self.windows.user}"
        before = None if now is None else now.value
        undo = {"key": key, "setting": name, "value": before, "kind": kind, "expect": value}
        restart = self._silent
        effect = (
            ", and restart it, because its output goes to no file: loaded models are lost until the next request"
            if restart
            else ""
        )
        return Change(
            f"{words} {where}{effect}", risk=Risk.DISRUPTIVE if restart else None, subject=rf"{key}\{name}", before=before, after=value,
            diff=_lines(name, before, value), needs=needs(Need.ELEVATED),
            undo=StepCall("ollama.setting_restored", {each: one for each, one in undo.items() if one is not None}),
            data={
                "values": [registry_value(key, name, value, kind)], "service": self.name, "environment": {name: value},
                "restart": restart,
            },
        )  # fmt: skip

    def _store(self, columns: Mapping[str, str], names: Sequence[str]) -> Change:
        before = {column: self.windows.row.get(column, "") for column in columns}
        words = ", ".join(f"{column}={value or '(none)'}" for column, value in columns.items())
        wanted = {
            name: (columns[COLUMNS[name]] if columns.get(COLUMNS.get(name, ""), "0") not in {"0", ""} else None)
            for name in names
            if COLUMNS.get(name) in columns
        }
        return Change(
            f"set {words} in the settings of the Ollama app, and restart it: loaded models are lost until the next request",
            subject=self.windows.database, before=before, after=dict(columns), risk=Risk.DISRUPTIVE, needs=needs(Need.DESKTOP),
            diff="".join(_lines(column, before[column], value) for column, value in columns.items()),
            undo=StepCall("ollama.setting_restored", {"key": APP, "columns": before, "expect_columns": dict(columns)}),
            data={"columns": dict(columns), "service": self.name, "environment": wanted},
        )  # fmt: skip

    def by_hand(self, going: Sequence[str], put: Mapping[str, str]) -> str:
        """Return what to do about a database that is not written."""
        if self.windows.unread:
            return "change it in the app: Settings"
        if not self._known and any(self._in_database(one) for name in (*going, *put) for one in self._places(name)):
            return f"change it in the app (Settings): version {self.windows.schema} of its database is not known"
        return ""


def registry_value(key: str, name: str, value: str | None, kind: str) -> dict[str, Any]:
    """Return one value for the probe ``server-change``. The variables of a service are lines of a list."""
    if kind != "MultiString":
        return {"key": key, "name": name, "value": value, "kind": kind, "list": None}
    nssm = key.endswith(r"\Parameters")
    return {"key": key, "name": name, "value": value, "kind": kind, "list": "AppEnvironmentExtra" if nssm else "Environment"}


def settings_place(host: Reader, serving: Serving) -> SettingsPlace:
    """Return the settings of a native server, judged for its release."""
    try:
        version = parse_version(host.ollama.version())
    except NO_ANSWER:
        version = None
    unit = serving.unit
    environment = unit.environment if unit is not None else serving.declared
    judged = judge_declared(environment, version, cards_of(host))
    if unit is not None and unit.snap:
        given = (serving.process.environment if serving.process is not None else None) or environment
        sources = tuple(SourcedSetting(name, value, f"the snap {unit.snap}", wins=True) for name, value in given.items())
        return SnapSettings(serving, given, sources, judge_declared(given, version, cards_of(host)))
    if unit is not None:
        drop_in = drop_in_of(unit.fragment, unit.name, own=unit.own)
        texts = {drop_in: "", **unit.files}
        return UnitSettings(serving, environment, unit.settings, judged, unit, drop_in, texts, _gpu_containers(host))
    if serving.windows is not None:
        return WindowsSettings(serving, environment, serving.settings, judged, serving.windows)
    if serving.guest is not None:
        return GuestSettings(serving, environment, serving.settings, judged)
    return SettingsPlace(serving, environment, serving.settings, judged)


def has_readable_settings(serving: Serving) -> bool:
    """Whether any part of a server's environment could be read."""
    known = serving.process is not None and serving.process.environment is not None
    guest = serving.guest is not None and serving.guest.unit is not None
    return guest or serving.unit is not None or serving.windows is not None or (serving.manager is Manager.PROCESS and known)


def _words(removed: Mapping[str, None], made: Mapping[str, str]) -> str:
    return ", ".join([*(f"remove {name}" for name in removed), *(f"set {name}={value}" for name, value in made.items())])


def _lines(name: str, before: str | None, after: str | None) -> str:
    removed = f"-{name}={before}\n" if before is not None else ""
    return removed + (f"+{name}={after}\n" if after is not None else "")


def _gpu_containers(host: Reader) -> tuple[str, ...]:
    """Return the running containers that use a GPU. A ``daemon-reload`` may deny it to them (NVIDIA: container troubleshooting)."""
    try:
        return tuple(one.name for one in host.engine.containers() if one.gpu_requested and one.running)
    except HostError:
        return ()
