"""The keywords of plays, blocks and tasks, with their types. Templates are checked at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from remediation.model.text.digits import is_whole
from remediation.templating.lookups.single import LISTS, LOOKUPS
from remediation.templating.yaml.located import has_template

Kind: TypeAlias = tuple[str, Callable[[Any], bool]]
"""What a value has to be, in words and as a check."""

LARGEST = 10**12
"""Numbers above it, infinity and NaN are no durations or counts."""


def _number(value: object) -> bool:
    if isinstance(value, str):
        return is_whole(value.strip().replace(".", "", 1))
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST


def _whole(value: object) -> bool:
    return _number(value) and float(str(value)).is_integer()


def _switch(value: object) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in TRUE | FALSE)


def _is_list_of(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, list) and all(isinstance(item, kinds) for item in value)


def _condition(value: object) -> bool:
    parts = value if isinstance(value, list) else [value]
    return all(isinstance(part, (str, bool, int, float, type(None))) for part in parts)


def _mappings(value: object) -> bool:
    return value is None or isinstance(value, Mapping) or _is_list_of(value, (Mapping, type(None)))


_OF_JINJA = frozenset({"true", "false", "none", "True", "False", "None", "not"})


def is_variable(value: object) -> bool:
    """Return whether a value is a valid variable name: a Python identifier in ASCII that Jinja can read, as in Ansible."""
    return isinstance(value, str) and value.isascii() and value.isidentifier() and value not in _OF_JINJA


def _batches(value: object) -> bool:
    return all(
        (isinstance(item, str) and is_whole(item.strip().rstrip("%"))) or (isinstance(item, int) and not isinstance(item, bool))
        for item in (value if isinstance(value, list) else [value])
    )


def _strategy(value: object) -> bool:
    name = str(value).removeprefix("ansible.builtin.")
    return value is None or name in {"debug", "free", "host_pinned", "linear"} or name.startswith("mitogen_")


BECOME_METHODS = frozenset({"sudo", "ansible.builtin.sudo"})
"""How a task can become another user."""
TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0"})

SWITCH = ("true or false", _switch)
NUMBER = ("a number", _number)
WHOLE = ("a whole number", _whole)
TEXT: Kind = ("a string", lambda value: value is None or isinstance(value, (str, int, float)))
TEXTS: Kind = ("a string or a list of strings", lambda value: isinstance(value, str) or _is_list_of(value, (str, int)))
CONDITION = ("a condition or a list of conditions", _condition)
MAPPING: Kind = ("a mapping", lambda value: isinstance(value, Mapping))
VARIABLES: Kind = (
    "a mapping of variables, whose names have the letters a to z, digits and underscores",
    lambda value: isinstance(value, Mapping) and all(map(is_variable, value)),
)
MAPPINGS = ("a mapping, or a list of mappings", _mappings)
LIST: Kind = ("a list", lambda value: value is None or isinstance(value, list))
NAME = ("the name of a variable", is_variable)
ANYTHING: Kind = ("", lambda _: True)
FILES: Kind = (
    "a file name, or a list of them",
    lambda value: value is None or isinstance(value, str) or _is_list_of(value, (str, list)),
)
STRATEGY = ("linear, free, host_pinned or debug", _strategy)
BATCHES = ("a number, a percentage, or a list of those", _batches)


HANDED_DOWN: Mapping[str, Kind] = {
    "any_errors_fatal": SWITCH,
    "become": SWITCH,
    "become_user": TEXT,
    "check_mode": SWITCH,
    "diff": SWITCH,
    "environment": MAPPINGS,
    "ignore_errors": SWITCH,
    "ignore_unreachable": SWITCH,
    "no_log": SWITCH,
    "run_once": SWITCH,
    "tags": TEXTS,
    "throttle": WHOLE,
    "timeout": NUMBER,
    "vars": VARIABLES,
    "become_method": TEXT,
    "connection": TEXT,
    "module_defaults": MAPPINGS,
    "port": WHOLE,
    "remote_user": TEXT,
}
"""Keywords that plays, blocks and imports pass to their tasks."""

_DELEGATED: Mapping[str, Kind] = {**HANDED_DOWN, "delegate_facts": SWITCH, "delegate_to": TEXT, "when": CONDITION}

APPLY: Mapping[str, Kind] = {**_DELEGATED, "name": TEXT, "notify": TEXTS}
"""Keywords that ``apply`` of an include passes to the included tasks."""

BLOCK: Mapping[str, Kind] = {**APPLY, "always": LIST, "block": LIST, "rescue": LIST}

LOOPS: Mapping[str, Kind] = {"loop": ANYTHING, **{f"with_{name}": ANYTHING for name in (*LISTS, *LOOKUPS)}}
"""``loop``, and Ansible's older form for each lookup."""

TASK: Mapping[str, Kind] = {
    **APPLY,
    **LOOPS,
    "args": MAPPING,
    "async": WHOLE,
    "poll": WHOLE,
    "changed_when": CONDITION,
    "delay": NUMBER,
    "failed_when": CONDITION,
    "listen": TEXTS,
    "loop_control": MAPPING,
    "register": NAME,
    "retries": WHOLE,
    "risk": TEXT,
    "until": CONDITION,
}

ROLE: Mapping[str, Kind] = _DELEGATED
"""Keywords of an entry of ``roles``; its other keys are variables of the role."""

IMPORT: Mapping[str, Kind] = {**_DELEGATED, "args": MAPPING, "name": TEXT}

IMPORT_PLAYBOOK: Mapping[str, Kind] = {"name": TEXT, "tags": TEXTS, "vars": VARIABLES, "when": CONDITION}

INCLUDE: Mapping[str, Kind] = {
    **LOOPS,
    **{
        name: TASK[name]
        for name in ("args", "ignore_errors", "loop_control", "name", "no_log", "register", "run_once", "tags", "timeout", "vars",
                     "when", "listen")
    },
}  # fmt: skip

PLAY: Mapping[str, Kind] = {
    **HANDED_DOWN,
    "force_handlers": SWITCH,
    "gather_facts": SWITCH,
    "handlers": LIST,
    "hosts": TEXTS,
    "max_fail_percentage": NUMBER,
    "name": TEXT,
    "gather_subset": TEXTS,
    "gather_timeout": NUMBER,
    "order": TEXT,
    "post_tasks": LIST,
    "pre_tasks": LIST,
    "roles": LIST,
    "strategy": STRATEGY,
    "vars_prompt": LIST,
    "serial": BATCHES,
    "tasks": LIST,
    "vars_files": FILES,
}

LADDER: Mapping[str, Kind] = {"goal": LIST, "rungs": LIST}
RUNG: Mapping[str, Kind] = {"last_resort": SWITCH, "name": TEXT, "tasks": LIST, "treats": TEXTS}
LOOP_CONTROL: Mapping[str, Kind] = {
    "break_when": CONDITION,
    "extended": SWITCH,
    "extended_allitems": SWITCH,
    "index_var": NAME,
    "label": ANYTHING,
    "loop_var": NAME,
    "pause": NUMBER,
}

PROMPT = frozenset({"confirm", "default", "encrypt", "name", "private", "prompt", "salt", "salt_size", "unsafe"})
"""Keys of an entry of ``vars_prompt``."""

STATIC = frozenset({
    "register", "name", "roles", "vars", "vars_prompt", "tasks", "block", "rescue", "always", "handlers", "goal", "rungs",
})  # fmt: skip
"""Keywords that cannot be templates, or whose elements are checked one by one."""


EMPTY = frozenset({"args", "notify", "vars"})
"""Keywords that may stand without a value, as if they were left out."""


def fits(kind: Kind, value: Any) -> bool:
    """Return whether a value has the given type. Templates are accepted, because they are evaluated at run time."""
    return has_template(value) or kind[1](value)


def as_switch(value: Any) -> bool:
    """Convert a switch accepted by `fits` to a boolean."""
    return value if isinstance(value, bool) else str(value).strip().lower() in TRUE
