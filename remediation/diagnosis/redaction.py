"""Redact private data in evidence (user names, tokens, paths below the home folder), and save what may be sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from remediation.diagnosis.evidence import Evidence
from remediation.model.errors import UsageError
from remediation.model.facts import ServerProcess, ServiceUnit, Serving, SourcedSetting
from remediation.model.private_file import write_private
from remediation.model.secrets.names import MASK, without_tokens
from remediation.model.text.visible import visible_json

T = TypeVar("T")

_SHORT = 2  # two letters are in every word

_HOME = re.compile(
    r"(?P<root>/home/|/Users/|[A-Za-z]:[\\/]+(?:Users|Documents and Settings)[\\/]+)(?P<user>[^\\/\s\"':;,]+)(?P<rest>[\\/][^\s\"':;,]*)?"
)
# written the way settings and JSON are; "EOS token     = 2" of a log and plain numbers are no secrets
# without the beginning of its name: searching for it would restart at each character of a long word
_SECRET = re.compile(
    r"(?P<name>(?:token|secret|passw(?:or)?d|api[_-]?key|apikey|credential|private[_-]?key)[\w-]{0,64})(?P<sep>[\"']?[=:]\s?[\"']?)(?P<value>(?!\d{1,30}\b)[^\s\"',;}\]]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?P<kind>Bearer|Basic)\s+[A-Za-z0-9+/_=.~-]{8,}")
_URL_LOGIN = re.compile(r"(?<=://)[^/\s:@]{1,256}:[^/\s]{1,1024}@")
_SECRET_KEY = re.compile(r"token|secret|passw(?:or)?d|api[_-]?key|apikey|credential|private[_-]?key", re.IGNORECASE)


def redact_text(text: str, names: tuple[str, ...] = ()) -> str:
    """Return `text` without secrets, home paths and the given user names."""
    text = _URL_LOGIN.sub(f"{MASK}@", text)
    text = _BEARER.sub(rf"\g<kind> {MASK}", text)
    text = without_tokens(text)
    text = _SECRET.sub(rf"\g<name>\g<sep>{MASK}", text)
    text = _HOME.sub(lambda match: f"{match['root']}USER" + (_tail(match["rest"]) if match["rest"] else ""), text)
    for name in names:
        text = re.sub(rf"(?<![\w]){re.escape(name)}(?![\w])", "USER", text)
    return text


def _tail(path: str) -> str:
    """Keep what says which store or log it is, drop the folders that people name."""
    kept = re.search(r"[\\/](?:\.ollama|AppData[\\/]{1,4}Local[\\/]{1,4}(?:Programs[\\/]{1,4})?Ollama|\.docker)\b.*", path)
    return kept[0] if kept else "/…"


def redact(evidence: Evidence, *, users: tuple[str, ...] = ()) -> Evidence:
    """Return the evidence without user names, tokens and home paths; what a diagnosis needs stays."""
    names = tuple({*users, *_owners(evidence), *_homes(evidence)})

    def clean(value: T) -> T:
        return cast("T", _walk(value, lambda text: redact_text(text, names)))

    use = evidence.use
    if use is not None:
        use = replace(use, processes=tuple(replace(one, owner=None, path=None) for one in use.processes))
    system = replace(evidence.system, hostname="HOST") if evidence.system is not None else None
    return replace(
        evidence,
        symptom=clean(evidence.symptom),
        host="",
        pieces=tuple(replace(piece, text=clean(piece.text), name=clean(piece.name)) for piece in evidence.pieces),
        shows=tuple(replace(show, modelfile=clean(show.modelfile)) for show in evidence.shows),
        container=clean(evidence.container),
        compose=clean(evidence.compose),
        compose_files={clean(path): clean(text) for path, text in evidence.compose_files.items()},
        environment=clean(evidence.environment),
        services=clean(evidence.services),
        connections=clean(evidence.connections),
        use=use,
        serving=_redact_serving(evidence.serving, clean) if evidence.serving is not None else None,
        system=system,
        skipped=tuple(clean(item) for item in evidence.skipped),
    )


def _redact_serving(serving: Serving, clean: Callable[[Any], Any]) -> Serving:
    """Return what serves Ollama without the people, secrets and home paths in its processes, settings and unit files."""

    def process(one: ServerProcess) -> ServerProcess:
        user = one.user if not one.user or one.user.lower() in _EVERYBODY else "USER"
        return replace(one, user=user, path=clean(one.path), log=clean(one.log), environment=clean(one.environment))

    def settings(listed: tuple[SourcedSetting, ...]) -> tuple[SourcedSetting, ...]:
        return tuple(
            replace(one, value=clean({one.name: one.value})[one.name], source=clean(one.source), file=clean(one.file))
            for one in listed
        )

    def cleaned(unit: ServiceUnit | None) -> ServiceUnit | None:
        if unit is None:
            return None
        return replace(
            unit,
            fragment=clean(unit.fragment),
            environment=clean(unit.environment),
            settings=settings(unit.settings),
            files={clean(path): clean(text) for path, text in unit.files.items()},
        )

    guest = serving.guest
    if guest is not None:
        config = replace(guest.config, path=clean(guest.config.path)) if guest.config is not None else None
        guest = replace(guest, unit=cleaned(guest.unit), library=clean(guest.library), config=config)
    return replace(
        serving,
        name=clean(serving.name),
        process=process(serving.process) if serving.process is not None else None,
        unit=cleaned(serving.unit),
        guest=guest,
        others=tuple(process(one) for one in serving.others),
        settings=settings(serving.settings),
    )


_EVERYBODY = frozenset({"ollama", "user", "users", "public", "default", "root", "admin", "runner", "ubuntu", "all users", "..."})


def _homes(evidence: Evidence) -> set[str]:
    """Return the names that home folders have: they stand elsewhere too, without their path."""
    texts = [piece.text for piece in evidence.pieces] + list(evidence.compose_files.values()) + [evidence.symptom or ""]
    if evidence.serving is not None:
        guest, servers = evidence.serving.guest, _servers(evidence.serving)
        units = [each for each in (evidence.serving.unit, guest.unit if guest is not None else None) if each is not None]
        texts += [text for one in servers for text in (one.path, one.log)]
        texts += [text for unit in units for item in unit.files.items() for text in item]
    found = {match["user"] for text in texts for match in _HOME.finditer(text)}
    return {name for name in found if len(name) > _SHORT and name.lower() not in _EVERYBODY}


def _servers(serving: Serving) -> tuple[ServerProcess, ...]:
    return (*((serving.process,) if serving.process is not None else ()), *serving.others)


def _owners(evidence: Evidence) -> tuple[str, ...]:
    r"""Names of people among the owners of processes (``HOST\\name``)."""
    found = set()
    owners = [process.owner or "" for process in (evidence.use.processes if evidence.use else ())]
    owners += [one.user for one in (_servers(evidence.serving) if evidence.serving else ()) if one.user.lower() not in _EVERYBODY]
    for owner in owners:
        name = owner.replace("/", "\\").rsplit("\\", 1)[-1]
        if (
            len(name) > _SHORT
            and name.upper() not in {"SYSTEM", "ROOT", "LOCAL SERVICE", "NETWORK SERVICE", "USER"}
            and not name.upper().startswith(("DWM-", "UMFD-"))
        ):
            found.add(name)
    return tuple(found)


def _walk(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {
            key: MASK
            if isinstance(key, str) and isinstance(item, str) and item and _SECRET_KEY.search(key)
            else _walk(item, clean)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_walk(item, clean) for item in value)
    return value


def save(evidence: Evidence, path: Path, *, users: tuple[str, ...] = ()) -> None:
    """Write `evidence` as the record that ``--evidence`` reads; only its owner may read the file. Raises `UsageError`."""
    text = visible_json(redact(evidence, users=users).to_json(), indent=1)
    try:
        write_private(path, f"{text}\n")
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise UsageError(msg, next_step="give --out a file in a folder that may be written to") from error
