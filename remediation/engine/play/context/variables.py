"""The variables in scope at a task: all layers, highest precedence first, evaluated on use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediation import __version__
from remediation.engine.play.context.gathered import INJECTED, FactVariables
from remediation.inventory.inventory import IMPLICIT
from remediation.model.errors import InputError, Problem, RemediationError
from remediation.playbook.errors import excerpt, where
from remediation.playbook.load_context import find_file
from remediation.playbook.model import Play, Role, TaskSettings
from remediation.templating.templar import Scope
from remediation.templating.template_files import SEARCH_PATH
from remediation.templating.yaml.loader import Decrypt, read_yaml
from remediation.templating.yaml.located import Rows

if TYPE_CHECKING:
    from remediation.engine.play.context.host_state import HostState
    from remediation.engine.play.context.run_request import RunRequest
    from remediation.engine.play.context.run_state import PlayState, RunState

Layer = Mapping[str, Any]

LANGUAGE: Mapping[str, Any] = {"string": "2.19.0", "full": "2.19.0", "major": 2, "minor": 19, "revision": 0}
"""The Ansible version whose language is supported; ``remediation_version`` is the program's own version."""

UNSENT = frozenset({"ansible_facts", *INJECTED, "hostvars", "groups", "vars", "ansible_delegated_vars"})
"""Variables that hold the whole inventory; connections and steps never read them."""


_OF_TASKS = frozenset(
    {
        "ansible_failed_result",
        "ansible_failed_task",
        "ansible_index_var",
        "ansible_loop",
        "ansible_loop_var",
        "ansible_python_interpreter",
    }
)
"""Variables of tasks and loops, and of the host's Python; no connection reads them."""


class Live(Mapping[str, Any]):
    """A mapping whose values are computed when they are read."""

    def __init__(self, names: Mapping[str, Callable[[], Any]]) -> None:
        self._names = names

    def __getitem__(self, name: str) -> Any:
        return self._names[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class HostVars(Mapping[str, Any]):
    """``hostvars``: the variables of every host, without those of the play."""

    def __init__(self, stage: RunState) -> None:
        self._stage = stage

    def __getitem__(self, name: str) -> Scope:
        if name not in self and name not in IMPLICIT:
            raise KeyError(name)
        *layers, magic = self._stage.host_layers(name)
        return Scope([*layers, _without_address(magic), _run_values(self._stage.request)])

    def select(self, pattern: str | Sequence[str]) -> tuple[str, ...]:
        """Return the hosts that a pattern selects (``inventory_hostnames``)."""
        return self._stage.inventory.select(pattern)

    def __contains__(self, name: object) -> bool:
        return name in self._stage.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._stage.names)

    def __len__(self) -> int:
        return len(self._stage.names)


class TaskVariables:
    """The variables of one host in one play; `scope` returns those in scope at a task."""

    def __init__(self, play: PlayState, host: HostState) -> None:
        self._extra = play.stage.request.extra
        self._host = host
        self._roles = play.play.roles
        self._play = play
        self._magic = Live({**_magic(play), **_role_names(play.play, host)})
        self._inventory = play.stage.inventory
        self._known = self._of_inventory()
        early = Scope((self._extra, host.facts, host.included, play.play.vars, *self._known))
        self._of_roles: tuple[Layer, ...] = tuple(layer for role in reversed(self._roles) for layer in role.public_vars)
        self._of_play: tuple[Layer, ...] = (
            *vars_files(play.play, early, play.stage.request.playbook.decrypt),
            play.play.vars,
        )
        self._defaults: tuple[Layer, ...] = tuple(layer for role in reversed(self._roles) for layer in role.public_defaults)

    def _of_inventory(self) -> tuple[Layer, ...]:
        name, inventory = self._host.name, self._inventory
        return (FactVariables(self._host), *inventory.layers(name), self._magic, _without_address(inventory.magic(name)))

    def scope(
        self,
        settings: TaskSettings,
        *,
        loop: Layer | None = None,
        included: Sequence[Layer] = (),
        own: Layer | None = None,
        special: Layer | None = None,
    ) -> Scope:
        """Return the variables in scope at a task.

        ``loop`` are those of its item, ``included`` those of the includes around it, ``own`` its result, ``special``
        Ansible's special variables.
        """
        if self._inventory is not self._play.stage.inventory:
            self._inventory = self._play.stage.inventory
            self._known = self._of_inventory()
        layers = [
            *self._before(settings, included, self._host.facts, self._host.included),
            *self._known,
            *self._after(settings),
        ]
        if special:
            layers.append(special)
        if own:
            layers.insert(1, own)
        if loop:
            layers.insert(0, loop)
        return Scope(layers)

    def delegate_scope(self, settings: TaskSettings, name: str, *, included: Sequence[Layer] = ()) -> Scope:
        """Return the variables that describe the connection to the delegate `name`: its own, below those of the play and the task."""
        _extra, *known = self._play.stage.host_layers(name)
        inventory = self._play.stage.inventory
        below = len(inventory.layers(name)) + 1
        facts, of_inventory = known[: len(known) - below], known[len(known) - below :]
        return Scope([*self._before(settings, included, *facts), *of_inventory, *self._after(settings), self._magic])

    def connection_names(self, settings: TaskSettings, *, included: Sequence[Layer] = ()) -> list[str]:
        """Return the names of the variables above the inventory that may describe a connection."""
        _extra, *layers = self._before(settings, included, self._host.facts, self._host.included)
        names = {name for layer in layers for name in layer if name.startswith("ansible_")}
        return sorted(names - UNSENT - _OF_TASKS)

    def _before(self, settings: TaskSettings, included: Sequence[Layer], *of_host: Layer) -> list[Layer]:
        """Return the layers above the inventory's."""
        role, public = settings.role, self._host.roles
        return [
            self._extra,
            *reversed(included),
            *(role.param_layers if role else ()),
            *of_host,
            *reversed(settings.vars),
            *(role.var_layers if role else ()),
            *(layer for each in reversed(public) for layer in each.public_vars),
            *self._of_roles,
            *self._of_play,
        ]

    def _after(self, settings: TaskSettings) -> list[Layer]:
        """Return the layers below the inventory's: the defaults of roles."""
        role, public = settings.role, self._host.roles
        return [
            *(role.default_layers if role else ()),
            *(layer for each in reversed(public) for layer in each.public_defaults),
            *self._defaults,
        ]


def _without_address(magic: Layer) -> Layer:
    """Return a host's magic variables without the default of ``ansible_host``, which depends on the task's delegate."""
    return {name: value for name, value in magic.items() if name != "ansible_host"}


def _run_values(request: RunRequest) -> Layer:
    """Return the magic variables that are the same in all plays of a run."""
    return {
        "ansible_check_mode": request.policy.check,
        "ansible_config_file": None,
        "ansible_diff_mode": request.policy.diff,
        "ansible_forks": request.forks,
        "ansible_inventory_sources": list(request.sources),
        "ansible_playbook_python": sys.executable,
        "ansible_run_tags": [tag.strip() for text in request.tags or ("all",) for tag in text.split(",")],
        "ansible_skip_tags": [tag.strip() for text in request.skip_tags for tag in text.split(",")],
        "ansible_verbosity": request.verbosity,
        "ansible_version": dict(LANGUAGE),
        "playbook_dir": str(request.playbook.path.parent.resolve()),
        "remediation_version": __version__,
        **({"ansible_limit": request.limit} if request.limit else {}),
    }


def _magic(play: PlayState) -> Mapping[str, Callable[[], Any]]:
    stage = play.stage
    values: dict[str, Any] = {
        **_run_values(stage.request),
        "ansible_play_hosts_all": list(play.hosts),
        "ansible_play_name": str(play.title),
        "hostvars": HostVars(stage),
        "playbook_dir": str(play.play.file.parent.resolve()),
    }
    live: dict[str, Callable[[], Any]] = {name: partial(_same, value) for name, value in values.items()}
    live["ansible_play_hosts"] = play.remaining_hosts
    live["ansible_play_batch"] = live["play_hosts"] = play.still_in_batch
    return live


def _role_names(play: Play, host: HostState) -> Mapping[str, Callable[[], Any]]:
    """Return the names of the play's roles, with those that the host has included."""

    def direct() -> list[str]:
        names = [role.name for role in play.roles]
        return [*names, *dict.fromkeys(role.name for role in host.included_roles if role.name not in names)]

    def needed() -> list[str]:
        roles = (*play.roles, *host.included_roles)
        return list(dict.fromkeys(inner.name for role in roles for inner in role.all_dependencies))

    return {
        "ansible_dependent_role_names": needed,
        "ansible_play_role_names": direct,
        "ansible_role_names": lambda: list(dict.fromkeys((*direct(), *needed()))),
        "role_names": direct,
    }


def of_task(play: PlayState, settings: TaskSettings, folder: Path, delegate: Callable[[], str]) -> Layer:
    """Return the special variables of one task: its file search path, its environment, and its delegate."""
    role = settings.role
    roots = (*(role.roots if role else ()), folder, play.play.file.parent, play.stage.request.playbook.path.parent)
    names: dict[str, Callable[[], Any]] = {
        **(_of_role(role) if role else {}),
        SEARCH_PATH: lambda: list(dict.fromkeys(str(root.absolute()) for root in roots)),
        "ansible_host": lambda: HostVars(play.stage).get(delegate(), {}).get("ansible_host") or delegate(),
        "environment": lambda: Rows(list(settings.environment)),
    }
    if settings.connection is not None:
        names["ansible_connection"] = lambda: settings.connection
    if settings.remote_user is not None:
        names["ansible_user"] = lambda: settings.remote_user
    if settings.delegate_to is not None:
        names["ansible_delegated_vars"] = lambda: {(name := delegate()): HostVars(play.stage)[name]}
    return Live(names)


def _of_role(role: Role) -> dict[str, Callable[[], Any]]:
    around = [each.name for each in role.around]
    paths = [str(each.path.absolute()) for each in role.around]
    return {
        "ansible_role_name": lambda: role.name,
        "role_name": lambda: role.name,
        "role_path": lambda: str(role.path.absolute()),
        **({"ansible_parent_role_names": lambda: around, "ansible_parent_role_paths": lambda: paths} if around else {}),
    }


def _same(value: Any) -> Any:
    return value


def vars_files(play: Play, scope: Scope, decrypt: Decrypt | None = None) -> list[Layer]:
    """Return the layers of a play's ``vars_files``, highest precedence first.

    In a nested list, the first existing file counts.
    """
    layers: list[Layer] = []
    for entry in play.vars_files:
        names = entry if isinstance(entry, list) else [entry]
        texts = [str(scope.render(name)) for name in names]
        found = (find_file(text, (play.file.parent,), "vars", subfolder_first=True) for text in texts)
        path = next((path for path in found if path), None)
        if path is None:
            place = where(names[0], play.place)
            message = f"vars_files: no file {' or '.join(map(repr, texts))} in {play.file.parent}"
            raise InputError((Problem(message, place, excerpt(place)),))
        layers.insert(0, variables_of(path, decrypt))
    return layers


def variables_of(path: Path, decrypt: Decrypt | None = None) -> Layer:
    """Return the variables in a file. Raises `InputError` if it is not a mapping."""
    content = read_yaml(path, decrypt=decrypt)
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise InputError((Problem(f"{path}: expected a mapping of variables", where(content, None)),))
    return content


def render_all(scope: Scope) -> dict[str, Any]:
    """Return all variables of a scope as plain values. Variables that cannot be evaluated are left out, except connection variables.

    A connection must not fail because of a variable that it does not read. Secrets stay secrets.
    """
    values: dict[str, Any] = {}
    for name in scope:
        if name in UNSENT:
            continue
        try:
            values[name] = scope.render(scope[name])
        except RemediationError:
            if name.startswith("ansible_"):
                raise
    return values
