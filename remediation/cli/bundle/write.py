"""Writes the bundle of a run: report, journal, evidence, versions and recorded I/O, without names and secrets."""

from __future__ import annotations

import getpass
import io
import json
import os
import platform
import re
import socket
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from remediation import __version__
from remediation.cli.bundle.readings import kept_evidence
from remediation.cli.context import secrets_of_environment
from remediation.connections.recorder.cassette import Anonymizer
from remediation.engine.journal.history import RunRecord
from remediation.model.event import Event
from remediation.model.files import read_text
from remediation.model.limits import CASSETTE
from remediation.model.secrets.masking import Masker
from remediation.model.text.visible import visible_json
from remediation.report.html import html

EVIDENCE = "evidence/"
DISTRIBUTION = "remediation"
_ADDRESS = re.compile(r"(?<![\d.])(?!127\.|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_MAIL = re.compile(r"[\w.+-]{1,256}@[\w-]{1,255}(?:\.[\w-]{1,255}){1,126}")
_KEPT_OPTIONS = ("check", "diff", "max_risk", "last_resort", "forks", "tags", "skip_tags", "start_at_task", "limit", "wait")
"""Options of the run that are kept; variables and files of the user are not."""
_WHEN = (2020, 1, 1, 0, 0, 0)

README = """\
The bundle of a run of remediation, for an issue report. Names of hosts and users, addresses and secrets are replaced.

run.html        the report
journal.jsonl   the events of the run, one per line
versions.json   versions, platform and options
evidence/       the readings of the first diagnosis of each host (.json), and what it quoted (.txt);
                remediate diagnose --evidence FILE.zip reads them
recording.jsonl the recorded input and output of the hosts, if the run was started with --record
"""


class _Removal:
    """Removes names, addresses and secrets; each host keeps one name throughout."""

    def __init__(self, record: RunRecord) -> None:
        self._masker = Masker()
        self._masker.add(*secrets_of_environment(os.environ))
        self._people = Anonymizer()
        for read in (getpass.getuser, socket.gethostname):
            with suppress(OSError, KeyError):
                (self._people.machine if read is socket.gethostname else self._people.person)(read())
        hosts = dict.fromkeys(
            [*map(str, record.header.get("hosts") or ()), *(event.host for event in record.events if event.host)]
        )
        self.hosts = {host: f"host-{number}" for number, host in enumerate(hosts, 1)}
        names = {
            **self.hosts,
            **{host.split(".")[0]: new for host, new in self.hosts.items() if not host.replace(".", "").isdigit()},
        }
        longest = sorted(map(re.escape, filter(None, names)), key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(longest) or '(?!)'})(?![\w-])", re.IGNORECASE)
        self._names = {name.lower(): new for name, new in names.items()}
        for event in record.events:
            self._people.learn(event.data)

    def value(self, value: Any) -> Any:
        """Return a JSON value without names and secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(each) for key, each in value.items()}
        return [self.value(each) for each in value] if isinstance(value, (list, tuple)) else value

    def text(self, text: str) -> str:
        """Return a text without names and secrets."""
        text = self._pattern.sub(lambda found: self._names[found[0].lower()], self._masker.text(text))
        text = _MAIL.sub("someone@example", _ADDRESS.sub("192.0.2.1", text))
        cleaned: str = self._people.clean(text)
        return cleaned

    def event(self, event: Event) -> Event:
        """Return an event without names and secrets."""
        return replace(
            event,
            host=self.hosts.get(event.host, event.host),
            play=self.text(event.play),
            task=self.text(event.task),
            data=self.value(event.data),
        )


def bundle_of(record: RunRecord) -> bytes:
    """Return the zip of a run."""
    removal = _Removal(record)
    events = [removal.event(event) for event in record.events]
    files = {
        "README.txt": README,
        "run.html": html(events),
        "journal.jsonl": "".join(f"{visible_json(event.to_json())}\n" for event in events),
        "versions.json": json.dumps(removal.value(_versions(record)), indent=2) + "\n",
        **{f"{EVIDENCE}{host}.txt": text for host, text in quoted_lines(events).items()},
        **{f"{EVIDENCE}{removal.text(host)}.json": removal.text(text) for host, text in kept_evidence(record.folder)},
    }
    recording = _find_cassette(record)
    if recording is not None:
        files["recording.jsonl"] = recording
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, _WHEN), text.encode("utf-8", "backslashreplace"), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def quoted_lines(events: Sequence[Event]) -> dict[str, str]:
    """Return the lines that the first diagnosis of each host quoted, as text per host."""
    found: dict[str, str] = {}
    for event in events:
        diagnosis = event.data.get("diagnosis")
        if event.kind == "findings" and event.host not in found and isinstance(diagnosis, Mapping):
            lines = dict.fromkeys(_quotes(diagnosis))
            if lines:
                found[event.host] = "".join(f"{line}\n" for line in lines)
    return found


def _quotes(diagnosis: Mapping[str, Any]) -> Iterator[str]:
    for finding in diagnosis.get("findings") or ():
        for quote in finding.get("quotes") or ():
            yield str(quote.get("text", ""))
    for setting in diagnosis.get("settings") or ():
        yield f"{setting.get('name')}={setting.get('value')}"


def _find_cassette(record: RunRecord) -> str | None:
    """Return the cassette of the run, which was anonymized when it was written; None without one."""
    options = record.header.get("asked")
    name = options.get("record") if isinstance(options, Mapping) else None
    path = Path(str(record.header.get("folder") or "."), name) if isinstance(name, str) else None
    try:
        return read_text(path, most=CASSETTE) if path is not None else None
    except (OSError, UnicodeDecodeError):
        return None


def _versions(record: RunRecord) -> dict[str, Any]:
    saved = record.header.get("asked")
    options = {name: saved.get(name) for name in _KEPT_OPTIONS} if isinstance(saved, Mapping) else {}
    return {
        "remediation": __version__,
        "run": {
            "version": record.header.get("version"),
            "command": record.header.get("command"),
            "state": record.state,
            "options": options,
        },
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _packages(),
        "unreadable_lines": record.broken,
    }


def _packages() -> dict[str, str]:
    found = {}
    for line in metadata.requires(DISTRIBUTION) or ():
        name = re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0]
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
