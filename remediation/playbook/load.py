"""Reads a playbook and all that it imports. Every mistake is told at once, with its place, before any host is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from remediation.model.errors import InputError, Place, Problem
from remediation.playbook import keywords
from remediation.playbook.actions import plain_name
from remediation.playbook.keywords import as_switch
from remediation.playbook.model import Node, Play, Playbook, Settings
from remediation.playbook.problems import Problems, where
from remediation.playbook.tasks import DEEPEST, Loading, TaskReader, handed_down, key_place, shown, value_place
from remediation.steps.contract import Step
from remediation.steps.registry import registry
from remediation.templating.nodes import has_template

Steps = Callable[[], Mapping[str, type[Step[Any]]]]

IMPORT = "import_playbook"


def load_playbook(path: Path, steps: Steps = registry, extra: Mapping[str, Any] | None = None) -> Playbook:
    """Return the playbook in `path`; raises `InputError` with every mistake in it and in what it imports.

    `extra` are the variables of the command line: names of imports may hold them.
    """
    loading = Loading(path.parent, steps, extra or {})
    if not path.is_file():
        raise InputError((Problem(f"there is no playbook {path}"),))
    plays = _plays(loading, path, Settings(), {}, 0, Place(str(path), 1, 1))
    loading.problems.check()
    return Playbook(path, tuple(plays), tuple(loading.files))


def load_tasks(  # noqa: PLR0913 - what an include knows
    path: Path,
    *,
    root: Path,
    outer: Settings,
    prefix: str,
    steps: Steps = registry,
    extra: Mapping[str, Any] | None = None,
    problems: Problems | None = None,
) -> tuple[Node, ...]:
    """Return the tasks of a file that a host includes while it runs; raises `InputError`. Paths begin with `prefix`."""
    loading = Loading(root, steps, extra or {}, problems or Problems())
    place = Place(str(path), 1, 1)
    content = loading.read(path, place)
    nodes = TaskReader(loading, path.parent).nodes(content, outer, prefix, place)
    loading.problems.check()
    return nodes


def _plays(loading: Loading, path: Path, outer: Settings, given: Mapping[str, Any], first: int, place: Place) -> list[Play]:  # noqa: PLR0913
    before = len(loading.problems.found)
    content = loading.read(path, place)
    if not isinstance(content, list):
        if len(loading.problems.found) == before:
            loading.problems.add(f"a playbook is a list of plays, not {shown(content)}", where(content, Place(str(path), 1, 1)))
        return []
    if not content:
        loading.problems.add("this playbook holds no play", where(content, Place(str(path), 1, 1)))
    plays: list[Play] = []
    for raw in content:
        index = first + len(plays)
        if not isinstance(raw, Mapping):
            loading.problems.add(f"a play is a mapping, not {shown(raw)}", where(raw, where(content, place)))
            continue
        key = next((key for key in raw if isinstance(key, str) and plain_name(key) == IMPORT), None)
        if key is not None:
            plays += _imported(loading, raw, key, path, outer, given, index)
        else:
            plays.append(_play(loading, raw, path, outer, given, index))
    return plays


def _imported(  # noqa: PLR0913 - what an import hands on
    loading: Loading, raw: Mapping[Any, Any], key: str, path: Path, outer: Settings, given: Mapping[str, Any], index: int
) -> list[Play]:
    at = value_place(raw, key) or Place(str(path), 1, 1)
    for name in raw:
        if name != key and name not in keywords.IMPORT_PLAYBOOK:
            loading.problems.unknown(f"{IMPORT}: the keyword", name, keywords.IMPORT_PLAYBOOK, key_place(raw, name))
    own = raw.get("vars")
    variables = {**given, **own} if isinstance(own, Mapping) else dict(given)
    if not isinstance(raw[key], str):
        loading.problems.add(f"{IMPORT}: the name of a file is wanted", at)
        return []
    file = loading.find(raw[key], path.parent, at, names=variables)
    if file is None:
        return []
    if loading.depth >= DEEPEST:
        loading.problems.add(f"{file.name} is imported within itself", at)
        return []
    loading.depth += 1
    try:
        handed = handed_down(outer, {name: value for name, value in raw.items() if name in {"when", "tags"}})
        return _plays(loading, file, handed, variables, index, at)
    finally:
        loading.depth -= 1


def _play(  # noqa: PLR0913 - what an import hands on
    loading: Loading, raw: Mapping[Any, Any], path: Path, outer: Settings, given: Mapping[str, Any], index: int
) -> Play:
    place = where(raw, Place(str(path), 1, 1))
    loading.expect(raw, keywords.PLAY, "a play")
    if "hosts" not in raw:
        loading.problems.add("this play does not say its hosts", place)
    elif not raw["hosts"]:
        loading.problems.add("hosts: a pattern is wanted, and there is none", value_place(raw, "hosts"))
    own = raw.get("vars")
    variables = {**(own if isinstance(own, Mapping) else {}), **given}
    # a play's own vars rank below its vars_files, so tasks do not get them handed down
    settings = handed_down(outer, {name: value for name, value in raw.items() if name not in {"vars", "when"}})
    reader = TaskReader(loading, path.parent, variables)
    lists = {
        name: reader.nodes(raw.get(name), settings, f"{index}.{prefix}.", value_place(raw, name))
        for name, prefix in (("pre_tasks", "pre"), ("tasks", "tasks"), ("post_tasks", "post"), ("handlers", "handlers"))
    }
    serial = raw.get("serial")
    play = Play(
        name=str(raw.get("name") or ""),
        index=index,
        hosts=raw.get("hosts", ""),
        file=path,
        place=place,
        vars=variables,
        vars_files=tuple(raw["vars_files"] if isinstance(raw.get("vars_files"), list) else filter(None, [raw.get("vars_files")])),
        settings=settings,
        serial=() if serial is None else tuple(serial if isinstance(serial, list) else [serial]),
        max_fail_percentage=raw.get("max_fail_percentage"),
        force_handlers=as_switch(raw.get("force_handlers") or False),
        **lists,
    )
    return replace(play, name=raw["name"]) if has_template(raw.get("name")) else play
