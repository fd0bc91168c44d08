"""Reading a Compose project as the plugin does: files, merge, variables, and the resolved definition."""

from __future__ import annotations

import hashlib
import json
import ntpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from remediation_lab.compose.definition import ServiceError, service
from remediation_lab.compose.interpolate import Missing, dotenv, everywhere
from remediation_lab.wire import Json

DEFAULT_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_TOP = {"name", "version", "services", "networks", "volumes", "configs", "secrets", "include"}


class ComposeError(Exception):
    """What the plugin says when it cannot read a project."""


@dataclass(frozen=True, slots=True)
class Project:
    """A resolved project; `warnings` in the order in which Compose prints them."""

    name: str
    folder: str
    files: tuple[str, ...]
    services: Mapping[str, dict[str, Any]]
    volumes: Mapping[str, dict[str, Any]]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as `config --format json` prints it."""
        whole: dict[str, Any] = {
            "name": self.name,
            "networks": {"default": {"name": f"{self.name}_default", "ipam": {}}},
            "services": {name: self.services[name] for name in sorted(self.services)},
        }
        if self.volumes:
            whole["volumes"] = dict(self.volumes)
        return whole

    def order(self) -> list[str]:
        """Return the services, each after those it depends on."""
        done: list[str] = []

        def add(name: str) -> None:
            for other in self.services[name].get("depends_on") or {}:
                if other not in done:
                    add(other)
            if name not in done:
                done.append(name)

        for name in self.services:
            add(name)
        return done


def fingerprint(definition: Mapping[str, Any]) -> str:
    """Return a stand-in for Compose's config hash; it differs when the definition does."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, as Compose does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise ComposeError(f'line {line}: mapping key "{key.value}" already defined at line {seen[key.value]}')
            seen[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)


def load(
    read: Callable[[str], bytes | None],
    *,
    folder: str,
    files: Sequence[str],
    environment: Mapping[str, str],
    name: str | None = None,
) -> Project:
    """Read and resolve a project; `read` gives a file of the host or None. Raises ComposeError with the plugin's words."""
    paths = [ntpath.normpath(ntpath.join(folder, each)) for each in files]
    if not paths:
        found = [path for each in DEFAULT_FILES if read(path := ntpath.join(folder, each)) is not None]
        if not found:
            raise ComposeError("no configuration file provided: not found")
        paths = found[:1]
    base = ntpath.dirname(paths[0])
    values = {**dotenv((read(ntpath.join(base, ".env")) or b"").decode("utf-8", "replace")), **environment}
    warnings: list[str] = []

    def unset(variable: str) -> None:
        text = f'The \\"{variable}\\" variable is not set. Defaulting to a blank string.'
        if text not in warnings:
            warnings.append(text)

    merged: dict[str, Any] = {}
    for path in paths:
        document = _document(read, path)
        if "version" in document:
            warnings.append(
                f"{path}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"
            )
        try:
            document = everywhere(document, values, unset)
        except Missing as error:
            raise ComposeError(str(error)) from error
        merged = merge(merged, document)
    project = name or values.get("COMPOSE_PROJECT_NAME") or merged.get("name") or ntpath.basename(base)
    project = re.sub(r"[^-_a-z0-9]", "", str(project).lower())
    return _resolved(project, base, paths, merged, warnings)


def merge(first: Json, second: Json, key: str = "") -> Json:
    """Merge two files' values by Compose's rules: maps by key, lists appended, `command` and `entrypoint` replaced."""
    if key in {"environment", "labels"}:
        return {**_pairs(first), **_pairs(second)}
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return {**first, **{name: merge(first[name], each, name) if name in first else each for name, each in second.items()}}
    if isinstance(first, list) and isinstance(second, list) and key not in {"command", "entrypoint"}:
        return [*first, *(each for each in second if each not in first)]
    return second


def _pairs(value: Json) -> dict[str, Any]:
    if isinstance(value, list):
        return {name: text if equals else None for name, equals, text in (str(each).partition("=") for each in value)}
    return dict(value or {})


def _document(read: Callable[[str], bytes | None], path: str) -> dict[str, Any]:
    content = read(path)
    if content is None:
        raise ComposeError(f"open {path}: The system cannot find the file specified.")
    try:
        document = yaml.load(content.decode("utf-8-sig", "replace"), Loader=_Loader)  # noqa: S506  # a SafeLoader
    except ComposeError as error:
        raise ComposeError(f"failed to parse {path}: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ComposeError(f"yaml: line {line}: {error.problem}") from error
    if not isinstance(document, dict):
        raise ComposeError(
            f"failed to parse {path}: top-level object must be a mapping" if document is not None else "empty compose file"
        )
    for key in document:
        if key not in _TOP and not str(key).startswith("x-"):
            raise ComposeError(f"validating {path}: additional properties '{key}' not allowed")
    for name, each in (document.get("services") or {}).items():
        if not isinstance(each, dict):
            raise ComposeError(f"validating {path}: services.{name} must be a mapping")
        try:
            service.check(name, each)
        except ServiceError as error:
            raise ComposeError(f"validating {path}: {error}") from error
    return document


def _resolved(project: str, folder: str, paths: Sequence[str], merged: Mapping[str, Any], warnings: Sequence[str]) -> Project:
    named = merged.get("volumes") or {}
    services: dict[str, dict[str, Any]] = {}
    try:
        for name, each in (merged.get("services") or {}).items():
            services[name] = service.resolve(name, each, folder)
    except ServiceError as error:
        raise ComposeError(str(error)) from error
    for name, each in services.items():
        for other in each.get("depends_on") or {}:
            if other not in services:
                raise ComposeError(f'service "{name}" depends on undefined service "{other}": invalid compose project')
        for mount in each.get("volumes") or ():
            if mount["type"] == "volume" and mount["source"] not in named:
                raise ComposeError(f'service "{name}" refers to undefined volume {mount["source"]}: invalid compose project')
    used = {mount["source"] for each in services.values() for mount in each.get("volumes") or () if mount["type"] == "volume"}
    volumes = {}
    for name in sorted(used):
        options = named[name] or {}
        volumes[name] = {
            "name": options.get("name", name if options.get("external") else f"{project}_{name}"),
            **({"external": True} if options.get("external") else {}),
        }
    return Project(project, folder, tuple(paths), services, volumes, tuple(warnings))
