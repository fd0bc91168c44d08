"""A cassette: recorded calls and replies of hosts, without secrets, user names and host names.

The format is JSON lines, which are easy to read, search and shorten: a header, then one call with its reply per line.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from remediation.connections.calls import (
    Call,
    Completed,
    Failed,
    FileContent,
    Http,
    HttpReply,
    Probe,
    ProbeReply,
    ReadFile,
    Reply,
    Run,
    WriteFile,
)
from remediation.connections.guard import Recorder
from remediation.connections.settings import LOCAL_NAMES, ConnectionSettings
from remediation.model import limits
from remediation.model.errors import UsageError
from remediation.model.files import read_text
from remediation.model.private_file import write_private
from remediation.model.secrets.masking import Masker
from remediation.model.text.digits import is_whole
from remediation.model.text.json_text import load_json
from remediation.model.text.shape import ODD
from remediation.model.text.visible import visible_json

VERSION = 1
_SHORTEST = 2
_EVERYBODY = frozenset(
    {"root", "system", "administrator", "admin", "user", "nobody", "nt authority", "localservice", "networkservice", "builtin", "host", "local",
     "ollama", "docker", "compose", "nvidia", "cuda", "gpu", "windows", "linux", "ubuntu", "debian", "wsl"}
) | LOCAL_NAMES  # fmt: skip
"""Names that identify no one, and whose replacement would change what a diagnosis reads."""
_NAMED = ("User", "DesktopUser", "Owner", "Hostname", "CSName", "UserName")
_LEASE = re.compile(r'"owner": "([^"@]+)@([^"]+)", "purpose": ')
"""The holder of a host lease, as written in the lease file."""
_USER_FOLDER = re.compile(r"(?:[A-Za-z]:[\\/]+Users|/home)[\\/]+([^\\/\"':;\s]+)")
_CALLS: Mapping[str, type[Call]] = {each.__name__: each for each in (Run, Probe, Http, ReadFile, WriteFile)}
_REPLIES: Mapping[str, type[Reply]] = {each.__name__: each for each in (Completed, HttpReply, ProbeReply, FileContent, Failed)}
_TEXTS = {"utf16": "utf-16-le", "text": "utf-8"}
_BESIDE = frozenset({"timeout", "silence", "writes", "content", "backup"})
"""Fields of a call that do not affect its answer."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One call with its reply."""

    call: Call
    reply: Reply


class Anonymizer:
    """Replaces names that must not be in a cassette. Matches whole words, regardless of case."""

    def __init__(self) -> None:
        self._instead: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def person(self, text: str | None) -> None:
        """Replace a login, with or without its domain."""
        for part in re.split(r"[\\/@]", text or ""):
            self._add(part, "someone")

    def machine(self, text: str | None) -> None:
        """Replace a host's name or address, and the first part of a long name."""
        self._add(text or "", "a-host")
        if text and not is_whole(text.replace(".", "")):
            self._add(text.split(".")[0], "a-host")

    def learn(self, value: object) -> None:
        """Replace the names of users and hosts that a reply contains."""
        if isinstance(value, Mapping):
            for key, each in value.items():
                if key in _NAMED and isinstance(each, str):
                    (self.machine if key in {"Hostname", "CSName"} else self.person)(each)
                self.learn(each)
        elif isinstance(value, list | tuple):
            for each in value:
                self.learn(each)
        elif isinstance(value, str):
            for name in _USER_FOLDER.findall(value):
                self.person(name)
            for name, machine in _LEASE.findall(value):
                self.person(name)
                self.machine(machine)

    def clean(self, value: Any) -> Any:
        """Return a JSON value with the names replaced."""
        if isinstance(value, str):
            return self._clean_text(value)
        if isinstance(value, Mapping):
            return {self._clean_text(str(key)): self.clean(each) for key, each in value.items()}
        return [self.clean(each) for each in value] if isinstance(value, list | tuple) else value

    def _add(self, text: str, stem: str) -> None:
        low = text.strip().lower()
        if len(low) < _SHORTEST or low in _EVERYBODY or low in self._instead or low.startswith(("someone-", "a-host-")):
            return
        number = 1 + sum(each.startswith(stem) for each in self._instead.values())
        self._instead[low] = f"{stem}-{number}"
        self._pattern = None

    def _clean_text(self, text: str) -> str:
        if not self._instead:
            return text
        if self._pattern is None:
            longest = sorted(self._instead, key=len, reverse=True)
            words = (rf"(?<![A-Za-z0-9]){re.escape(each)}(?![A-Za-z0-9])" for each in longest)
            self._pattern = re.compile("|".join(words), re.IGNORECASE)
        return self._pattern.sub(lambda found: self._instead[found[0].lower()], text)


class Cassette:
    """Records any number of hosts. `save` writes the file, with all names learned by then replaced."""

    def __init__(self, path: Path, mask: Masker | None = None) -> None:
        self._path = path
        self._mask = mask or Masker()
        self._names = Anonymizer()
        self._platforms: dict[str, str] = {}
        self._lock = threading.Lock()
        self._lines: list[tuple[int, Any, Any]] = []

    def recorder(self, settings: ConnectionSettings) -> Recorder:
        """Return the recorder of a host for `open_connection`. A host that is opened again continues its recording."""
        with self._lock:
            self._mask.add(*settings.secrets)
            self._names.person(settings.user)
            self._names.machine(settings.name)
            self._names.machine(settings.address)
            self._platforms.setdefault(settings.name, settings.platform)
            return partial(self.add, 1 + list(self._platforms).index(settings.name))

    def add(self, host: int, calls: Sequence[Call], replies: Sequence[Reply]) -> None:
        """Record an exchange."""
        self._lines += [(host, _to_record(call), _to_record(reply)) for call, reply in zip(calls, replies, strict=True)]

    def save(self) -> None:
        """Write the file, readable only by its owner and without secrets. Raises `UsageError`."""
        # this machine's name is in the lease of the run, and in its answers if it is the host
        self._names.machine(socket.gethostname())
        with suppress(OSError, KeyError):  # an account without a name
            self._names.person(getpass.getuser())
        for _, call, reply in self._lines:
            self._names.learn(call)
            self._names.learn(reply)
        hosts = [{"host": number, "platform": platform} for number, platform in enumerate(self._platforms.values(), 1)]
        lines: list[Any] = [{"cassette": VERSION, "hosts": hosts}]
        for host, *pair in self._lines:
            # secrets first: replacing a name inside a secret would leave the rest of the secret
            call, reply = (self._names.clean(self._without_secrets(each)) for each in pair)
            lines.append({"host": host, "call": call, "reply": reply})
        text = "".join(f"{visible_json(line)}\n" for line in lines)
        try:
            write_private(self._path, text)
        except OSError as error:
            reason = f"--record: cannot write {self._path}: {error.strerror or error}"
            raise UsageError(reason, next_step="choose a file in a writable folder") from None

    def _without_secrets(self, value: Any) -> Any:
        return self._mask(self._with_binary(value))

    def _with_binary(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: self._binary(each) if key == "base64" and isinstance(each, str) else self._with_binary(each)
                for key, each in value.items()
            }
        return [self._with_binary(each) for each in value] if isinstance(value, list | tuple) else value

    def _binary(self, encoded: str) -> str:
        """Mask secrets in base64 data, keeping it valid base64."""
        content = base64.b64decode(encoded).decode("latin-1")
        masked = base64.b64encode(self._mask.text(content).encode("latin-1", "replace")).decode("ascii")
        return masked if self._mask.text(masked) == masked else base64.b64encode(b"***").decode("ascii")


def load_cassette(path: Path, host: int = 1) -> tuple[str, list[Interaction]]:
    """Return a host's platform and its recorded interactions. Raises `UsageError` with the line of an error."""
    try:
        text = read_text(path, most=limits.CASSETTE)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(f"{path}: cannot read the cassette: {reason}", next_step="choose a file written by --record") from error
    platform, taped = None, []
    for number, line in _lines(path, text):
        try:
            if number == 1:
                hosts = {int(each["host"]): str(each["platform"]) for each in line["hosts"]}
                platform = hosts[host]
            elif line["host"] == host:
                taped.append(Interaction(_read(line["call"], _CALLS), _read(line["reply"], _REPLIES)))
        except ODD as error:
            raise UsageError(
                f"{path}:{number}: not a line of a cassette with host {host} ({error})",
                next_step="choose a file written by --record",
            ) from error
    if platform is None:
        raise UsageError(f"{path}: the cassette is empty", next_step="choose a file written by --record")
    return platform, taped


def key(call: Call) -> str:
    """Return a key that is equal for calls with the same answer."""
    return json.dumps(
        [type(call).__name__, {name: value for name, value in _to_record(call).items() if name not in _BESIDE}], sort_keys=True
    )


def _lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield number, load_json(line, limits.CASSETTE)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}", next_step="choose a file written by --record") from error


def _to_record(item: Call | Reply) -> dict[str, Any]:
    # listeners are not part of the call
    values = {each.name: getattr(item, each.name) for each in fields(item) if each.compare}
    return {"type": type(item).__name__} | {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        # wsl.exe and others print UTF-16: record it as text, so that names in it are found
        for name, encoding in _TEXTS.items():
            if (name == "utf16") == (b"\0" in value):
                with suppress(UnicodeDecodeError):
                    return {name: value.decode(encoding)}
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _read(written: Mapping[str, Any], known: Mapping[str, type[Any]]) -> Any:
    kind = known[str(written["type"])]
    annotations = {each.name: str(each.type) for each in fields(kind)}
    return kind(**{name: _value(value, annotations[name]) for name, value in written.items() if name != "type"})


def _value(value: Any, annotation: str) -> Any:
    if annotation == "bytes":
        try:
            ((name, text),) = value.items()
            return base64.b64decode(text, validate=True) if name == "base64" else text.encode(_TEXTS[name])
        except binascii.Error as error:
            raise ValueError(str(error)) from error
    return tuple(value) if annotation.startswith("tuple") else value
