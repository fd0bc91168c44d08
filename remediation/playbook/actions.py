"""Parameters of flow actions: names, types and defaults, checked when a playbook is loaded and again at run time.

An action is not a step: it has no state. `remediation.engine.play` carries actions out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from remediation.modules.catalogue import is_module, module_class, module_names, short_name
from remediation.modules.contract import Action, Duration, UnfitError

COLLECTION = "ansible.builtin."
LEGACY = "ansible.legacy."
"""Ansible's name for its own modules and those next to a playbook; here it means the former."""


class Debug(Action):
    """Print a message, or the value of a variable."""

    rules: ClassVar[Mapping[str, Any]] = {"mutually_exclusive": [["msg", "var"]]}

    msg: Any = Field(None, description="what to print")
    var: Any = Field(None, description="a variable or expression to print")
    verbosity: int = Field(0, description="lowest number of -v at which it is printed")

    @model_validator(mode="after")
    def _one_form(self) -> Debug:
        if {"msg", "var"} <= self.model_fields_set:
            msg = "msg and var are mutually exclusive"
            raise ValueError(msg)
        return self


class SetFact(Action):
    """Set variables of a host for the rest of the run."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    open: ClassVar[bool] = True

    cacheable: bool = Field(default=False, description="accepted for compatibility; facts are not kept beyond the run")


class Assert(Action):
    """Fail unless all conditions hold."""

    that: Any = Field(..., description="a condition, or a list of conditions")
    fail_msg: Any = Field(None, alias="msg", description="message if a condition is false")
    success_msg: Any = Field(None, description="message if all conditions are true")
    quiet: bool = Field(default=False, description="print less")

    @field_validator("that")
    @classmethod
    def _a_condition(cls, given: Any) -> Any:
        if given is None:
            raise ValueError("is empty; write a condition, or a list of conditions")
        return given


class AddHost(Action):
    """Add a host to the inventory for the rest of the run, or change its groups and variables. Runs once for all hosts."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    open: ClassVar[bool] = True
    aliases: ClassVar[Mapping[str, str]] = {
        "host": "name", "hostname": "name", "group": "groups", "groupname": "groups"
    }  # fmt: skip

    lacking: ClassVar[Mapping[str, str]] = {"name": "name, host or hostname needs to be provided"}

    name: str = Field(..., description="the host, with its port if that is another one: NAME:PORT", min_length=1)
    groups: list[str] = Field(default_factory=list, description="groups, which are created if there are none of that name")

    @model_validator(mode="before")
    @classmethod
    def _as_ansible_reads(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        found = {cls.aliases.get(str(name), str(name)): value for name, value in given.items()}
        if isinstance(found.get("groups"), str):
            found["groups"] = [name for part in found["groups"].split(",") if (name := part.strip())]
        return {name: value for name, value in found.items() if name != "groups" or value is not None}


class GroupBy(Action):
    """Add each host to a group of the given name for the rest of the run."""

    strange: ClassVar[str] = "Invalid options for {module}: {names}"
    lacking: ClassVar[Mapping[str, str]] = {"key": "the 'key' param is required when using group_by"}

    key: str = Field(..., description="the group; spaces become -", min_length=1)
    parents: list[str] = Field(default_factory=lambda: ["all"], description="groups that contain the group")

    @model_validator(mode="before")
    @classmethod
    def _one_parent(cls, given: Any) -> Any:
        one = isinstance(given, Mapping) and isinstance(given.get("parents"), str)
        return {**given, "parents": [given["parents"]]} if one else given


class Fail(Action):
    """Fail with a message."""

    strange: ClassVar[str] = "Invalid options for {module}: {names}"

    msg: Any = Field("Failed as requested from task", description="why")


class Meta(Action):
    """Control the run itself."""

    free: ClassVar[str] = "free_form"

    free_form: Literal[
        "noop",
        "flush_handlers",
        "end_host",
        "end_play",
        "end_batch",
        "clear_host_errors",
        "clear_facts",
        "reset_connection",
        "end_role",
        "refresh_inventory",
    ] = Field(..., description="what to do")


class WaitFor(Action):
    """Wait for a port, a file, or text in a file."""

    refused: ClassVar[tuple[str, ...]] = ("active_connection_states", "exclude_hosts")

    host: str = Field("127.0.0.1", description="host to connect to, as seen from the target")
    port: int | None = Field(None, description="the port", ge=0, le=65535)
    path: str | None = Field(None, description="the file")
    search_regex: str | None = Field(
        None, description="regular expression that the content of the file, or what the port sends, must match"
    )
    state: Literal["absent", "drained", "present", "started", "stopped"] = Field("started", description="what to wait for")
    timeout: Duration = Field(300, description="seconds after which the task fails")
    connect_timeout: Duration = Field(5, description="timeout of one connection attempt in seconds")
    delay: Duration = Field(0, description="seconds before the first check")
    sleep: Duration = Field(1, description="seconds between checks")
    msg: str | None = Field(None, description="message on failure")

    @model_validator(mode="after")
    def _one_subject(self) -> WaitFor:
        if self.port is not None and self.path is not None:
            raise UnfitError("port and path are mutually exclusive", "port and path parameter can not both be passed to wait_for")
        if self.path is not None and self.state == "drained":
            raise UnfitError(
                "state: drained needs a port", "state=drained should only be used for checking a port in the wait_for module"
            )
        return self


class IncludeVars(Action):
    """Load variables from a file."""

    free: ClassVar[str] = "file"
    strange: ClassVar[str] = "Task failed: {names} is not a valid option in include_vars"

    file: str | None = Field(None, description="file in vars/ or next to the playbook")
    dir: str | None = Field(None, description="folder of files, read in the order of their names")
    name: str | None = Field(None, description="variable that receives the loaded variables")
    depth: int = Field(0, description="how deep to look into dir; 0 is unlimited")
    extensions: Any = Field(None, description="endings of the files in dir; default: json, yaml, yml")
    files_matching: str | None = Field(None, description="regular expression that the names of the files in dir match")
    ignore_files: Any = Field(None, description="names of files in dir to leave out, as regular expressions")
    ignore_unknown_extensions: bool = Field(default=False, description="whether files in dir with other endings are left out")
    hash_behaviour: Literal["replace", "merge"] | None = Field(None, description="whether mappings are replaced or merged")

    @model_validator(mode="after")
    def _one_source(self) -> IncludeVars:
        if (self.file is None) == (self.dir is None):
            ansible_message = (
                "You are mixing file only and dir only arguments, these are incompatible" if self.file else "no file or dir"
            )
            raise UnfitError("expected either file or dir", f"Task failed: {ansible_message}")
        return self


class IncludeTasks(Action):
    """Run the tasks of a file, which is selected at run time."""

    free: ClassVar[str] = "file"

    file: str = Field(..., description="the file")
    apply: dict[str, Any] | None = Field(None, description="keywords applied to its tasks")


class ImportRole(Action):
    """Add the tasks of a role."""

    name: str | None = Field(None, description="the role")
    role: str | None = Field(None, description="the role (the same as name)")
    tasks_from: str | None = Field(None, description="file in its tasks/, instead of main")
    vars_from: str | None = Field(None, description="file in its vars/, instead of main")
    defaults_from: str | None = Field(None, description="file in its defaults/, instead of main")
    handlers_from: str | None = Field(None, description="file in its handlers/, instead of main")
    allow_duplicates: bool = Field(default=True, description="accepted for compatibility; the role always runs")
    rolespec_validate: bool = Field(default=True, description="whether the role's argument_specs are checked")
    public: bool = Field(default=True, description="whether the play's other tasks see the role's variables")

    @model_validator(mode="after")
    def _check_name(self) -> ImportRole:
        if not (self.name or self.role):
            msg = "expected name: ROLE"
            raise ValueError(msg)
        return self


class IncludeRole(ImportRole):
    """Run the tasks of a role, which is selected at run time."""

    public: bool = Field(default=False, description="whether later tasks see the role's variables")
    apply: dict[str, Any] | None = Field(None, description="keywords applied to its tasks")


class SetupFacts(Action):
    """Gather the host's facts."""

    gather_subset: Any = Field(None, description="all, min, hardware, network, virtual, gpu, ollama; ! excludes one")
    filter: Any = Field(None, description="patterns of the names to keep")
    gather_timeout: Duration = Field(60, description="seconds after which the host has not answered")
    fact_path: str | None = Field(None, description="folder of local facts (*.fact)")


class Measure(Action):
    """Measure the response time of the loaded model, before and after a repair."""

    label: Literal["before", "after"] = Field(
        "after", description="whether this is the measurement before or after; before uses at most 8 tokens"
    )
    model: str | None = Field(None, description="model name; defaults to the target's")


ACTIONS: Mapping[str, type[Action]] = {
    "add_host": AddHost,
    "assert": Assert,
    "debug": Debug,
    "fail": Fail,
    "import_role": ImportRole,
    "gather_facts": SetupFacts,
    "group_by": GroupBy,
    "include_role": IncludeRole,
    "include_tasks": IncludeTasks,
    "include_vars": IncludeVars,
    "measure": Measure,
    "meta": Meta,
    "set_fact": SetFact,
    "setup": SetupFacts,
    "wait_for": WaitFor,
}
"""The flow actions by name. Those of Ansible are also available as ``ansible.builtin.*``."""

GROWING = frozenset({"add_host", "group_by"})
"""Actions that add hosts and groups to the inventory of the run."""

STATIC_IMPORTS = frozenset({"import_playbook", "import_tasks"})
"""Imports, which are no actions: they are carried out when a playbook is loaded."""

OURS = frozenset({"measure"})
"""Actions that Ansible does not have, which therefore have no ``ansible.builtin`` name."""


def plain_name(name: str) -> str:
    """Return an action's short name: ``ansible.builtin.debug`` becomes ``debug``, ``ansible.windows.win_shell`` ``win_shell``."""
    short = name.removeprefix(COLLECTION).removeprefix(LEGACY)
    return name if short in OURS else short_name(name) if short not in {*ACTIONS, *STATIC_IMPORTS} else short


def is_action(name: str) -> bool:
    """Return whether a short name is that of a flow action or a module."""
    return name in ACTIONS or is_module(name)


def action_model(name: str) -> type[Action]:
    """Return the parameters of an action; a module's code is imported now."""
    return ACTIONS[name] if name in ACTIONS else module_class(name)


def action_names() -> tuple[str, ...]:
    """Return the short names of all actions, modules included."""
    return (*ACTIONS, *module_names())


def from_text(action: type[Action], text: str) -> dict[str, Any]:
    """Parse a bare string: the free parameter with words such as ``chdir=/tmp`` extracted, or ``name=value`` pairs.

    Raises ValueError if it is neither.
    """
    if not action.free:
        return _pairs(text)
    if not action.words:
        text = text.strip()  # a block scalar ends with a newline
        return {action.free: text} if "=" not in text.split(" ", maxsplit=1)[0] else _pairs(text)
    found: dict[str, Any] = {}
    rest, end = "", 0
    for start, word in _spans(text):
        name, equals, value = word.partition("=")  # as it is: backslashes of Windows paths stay
        if equals and name in action.words:
            found[name] = _unquote(value)
            rest, end = rest + text[end:start].rstrip(" "), start + len(word)
            if text[end : end + 1] == "\n":  # as in Ansible, the end of the line goes with the word
                rest, end = rest + (" " if rest and not rest.endswith("\n") else ""), end + 1
    rest = (rest + text[end:]).strip(" ")
    return {action.free: rest, **found} if rest else found


def _pairs(text: str) -> dict[str, Any]:
    pairs = [_pair(_decode_escapes(word)) for _, word in _spans(text)]
    if not pairs or any(pair is None for pair in pairs):
        msg = f"expected a mapping of parameters, got {text!r}"
        raise ValueError(msg)
    return {name: _unquote(value) for name, value in filter(None, pairs)}


def _pair(word: str) -> tuple[str, str] | None:
    """Return the name and the value of a ``name=value``, whose name may hold templates; None for another word."""
    depth = 0
    for index, character in enumerate(word):
        depth += _deeper(word, index)
        if character == "=" and index and not depth:
            return word[:index], word[index + 1 :]
    return None


def _deeper(text: str, index: int) -> int:
    """Return 1 where a template begins, -1 where one ends."""
    return (text[index : index + 2] in {"{{", "{%"}) - (text[max(0, index - 1) : index + 1] in {"}}", "%}"})


def is_pairs(text: str) -> bool:
    """Return whether a text consists of ``name=value`` words; a template for all parameters does not."""
    try:
        return all(_pair(word) for _, word in _spans(text))
    except ValueError:
        return False


def _unquote(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


_ESCAPE = re.compile(r"""\\(?:U[0-9A-Fa-f]{8}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|N\{[^}]{1,100}\}|[\\'"abfnrtv])""")


def _decode_escapes(word: str) -> str:
    """Return a ``name=value`` with its escapes decoded as in Python, as Ansible does."""
    return _ESCAPE.sub(lambda found: found[0].encode().decode("unicode_escape"), word)


def _spans(text: str) -> list[tuple[int, str]]:
    """Split a command line into words with their positions, keeping quotes, and templates in one piece.

    Raises ValueError for a quote that is not closed, as Ansible refuses it.
    """
    words: list[tuple[int, str]] = []
    word, quote, depth = "", "", 0
    for index, character in enumerate(text):
        depth += _deeper(text, index)
        if character in "'\"" and not depth and not word.endswith("\\"):
            quote = "" if quote == character else (quote or character)
        if character.isspace() and not quote and not depth:
            if word:
                words.append((index - len(word), word))
            word = ""
        else:
            word += character
    if quote:
        msg = f"the quote {quote} is not closed; write it as \\{quote}, or the command as cmd: or argv:"
        raise ValueError(msg)
    return [*words, (len(text) - len(word), word)] if word else words
