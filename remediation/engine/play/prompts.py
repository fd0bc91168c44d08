"""``vars_prompt``: variables that the user types at the start of a run."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from remediation.model.errors import UsageError
from remediation.model.text.visible import visible_line
from remediation.playbook.errors import where
from remediation.playbook.keywords import as_switch
from remediation.playbook.model import Play, Playbook
from remediation.templating.yaml.secret import Secret

TRIES = 3


def with_answers(playbook: Playbook, extra: Mapping[str, Any]) -> Playbook:
    """Return the playbook with the answers of its ``vars_prompt`` as variables. Raises `UsageError` without a terminal.

    Variables of the command line are not prompted for. Without a terminal, the defaults count.
    """
    if not any(play.prompts for play in playbook.plays):
        return playbook
    known: dict[str, Any] = {}
    return replace(playbook, plays=tuple(_prompt_play(play, extra, known) for play in playbook.plays))


def _prompt_play(play: Play, extra: Mapping[str, Any], known: dict[str, Any]) -> Play:
    values: dict[str, Any] = {}
    for entry in play.prompts:
        name = str(entry["name"])
        if name in extra:
            continue
        if name not in known:
            known[name] = _prompt_value(name, entry, play)
        values[name] = known[name]
    return replace(play, vars={**play.vars, **values}, prompts=())


def _prompt_value(name: str, entry: Mapping[str, Any], play: Play) -> Any:
    if entry.get("encrypt"):
        raise UsageError(
            f"vars_prompt: {name}: encrypt is not supported",
            place=where(entry, play.place),
            next_step="pass the hash itself, by -e",
        )
    default = entry.get("default")
    if not sys.stdin or not sys.stdin.isatty():
        if default is None:
            raise UsageError(
                f"vars_prompt: {name} has no default, and there is no terminal to ask at",
                place=where(entry, play.place),
                next_step=f"give it: -e {name}=VALUE",
            )
        return default
    private = as_switch(entry.get("private", True))
    question = visible_line(str(entry.get("prompt") or name))
    shown = f"{question} [{default}]: " if default is not None and not private else f"{question}: "
    for _ in range(TRIES):
        typed = _read_answer(shown, private=private)
        if not as_switch(entry.get("confirm") or False) or _read_answer(f"confirm {shown}", private=private) == typed:
            text = typed or ("" if default is None else str(default))
            return Secret(text) if private and text else text
        sys.stderr.write("the two entries differ\n")
    raise UsageError(f"vars_prompt: {name} was not confirmed", place=where(entry, play.place))


def _read_answer(question: str, *, private: bool) -> str:
    if private:
        return getpass.getpass(question, stream=sys.stderr)
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().rstrip("\n")
