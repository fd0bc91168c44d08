"""The model of a loaded playbook: plays, tasks, blocks and ladders with their places. Inherited keywords are resolved.

Values that may be templates are stored as written (`remediation.templating.yaml.located`) and evaluated when a host reaches the
task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from remediation.model.errors import Place
    from remediation.templating.yaml.loader import Decrypt


@dataclass(frozen=True, eq=False)
class Role:
    """A role as a play uses it.

    ``given`` is the ``vars`` of its entry, ``params`` the entry's other variables. ``parents`` are the roles that depend on it or
    contain it, the outermost first; ``inside`` is the role whose task includes or imports it.
    """

    name: str
    path: Path
    defaults: Mapping[str, Any] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Role, ...] = ()
    dependencies: tuple[Role, ...] = ()
    inside: Role | None = None

    @cached_property
    def all_dependencies(self) -> tuple[Role, ...]:
        """The roles that this one depends on, also indirectly."""
        return tuple(role for each in self.dependencies for role in (*each.all_dependencies, each))

    @cached_property
    def default_layers(self) -> tuple[Mapping[str, Any], ...]:
        """The defaults that its tasks see, highest precedence first."""
        around = (*reversed(self.parents), *reversed(self.all_dependencies))
        return (self.defaults, *(role.defaults for role in around))

    @cached_property
    def public_defaults(self) -> tuple[Mapping[str, Any], ...]:
        """The defaults that the play's other tasks see."""
        return (self.defaults, *(role.defaults for role in reversed(self.all_dependencies)))

    @cached_property
    def public_vars(self) -> tuple[Mapping[str, Any], ...]:
        """The variables that the play's other tasks see."""
        return (self.vars, *(role.vars for role in reversed(self.all_dependencies)))

    @cached_property
    def var_layers(self) -> tuple[Mapping[str, Any], ...]:
        """The variables that its tasks see, highest precedence first."""
        around = tuple(layer for role in reversed(self.parents) for layer in (role.vars, role.given))
        return (self.given, *self.public_vars, *around)

    @cached_property
    def param_layers(self) -> tuple[Mapping[str, Any], ...]:
        """The parameters of its entry and of those around it, highest precedence first."""
        return tuple(role.params for role in (self, *reversed(self.parents)) if role.params)

    @cached_property
    def around(self) -> tuple[Role, ...]:
        """The roles whose tasks include or import it, the innermost first."""
        return () if self.inside is None else (self.inside, *self.inside.around)

    @cached_property
    def roots(self) -> tuple[Path, ...]:
        """The folders in which its files are searched for."""
        return tuple(dict.fromkeys(role.path for role in (self, *reversed(self.parents))))


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """The inheritable keywords as they apply to one task.

    ``when`` and ``vars`` are kept per level, the outermost first: all conditions must hold, and inner variables override outer ones.
    None means unset. ``rescued`` tasks belong to a block with ``rescue``.
    """

    when: tuple[Any, ...] = ()
    vars: tuple[Mapping[str, Any], ...] = ()
    environment: tuple[Any, ...] = ()
    tags: frozenset[str] = frozenset()
    ignore_errors: Any = None
    ignore_unreachable: Any = None
    any_errors_fatal: Any = None
    check_mode: Any = None
    diff: Any = None
    no_log: Any = None
    become: Any = None
    become_user: Any = None
    delegate_to: Any = None
    delegate_facts: Any = None
    run_once: Any = None
    throttle: Any = None
    timeout: Any = None
    notify: tuple[Any, ...] = ()
    connection: Any = None
    remote_user: Any = None
    port: Any = None
    become_method: Any = None
    module_defaults: tuple[Any, ...] = ()
    rescued: bool = False
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """The loop of a task. ``kind`` is the keyword as written: ``loop``, ``with_items``, ..."""

    kind: str
    over: Any
    variable: str = "item"
    index: str = ""
    label: Any = None
    pause: Any = None
    extended: bool = False
    allitems: bool = True
    break_when: Any = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class RungNode:
    """One remedy of a ladder, in file order. Its tasks together treat these causes and mechanisms."""

    name: str
    tasks: tuple[Node, ...]
    treats: tuple[str, ...] = ()
    last_resort: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A step by name, with its parameters as written."""

    name: str
    parameters: Mapping[str, Any]
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class LadderNode:
    """A goal, and the remedies that may reach it."""

    goal: tuple[Call, ...]
    rungs: tuple[RungNode, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One step, action, ladder or include. ``path`` is its stable ID within the run, ``folder`` that of its file.

    ``settings`` include its own keywords, ``outer`` do not. Tasks of a file that it includes start from ``inner``, which is ``outer``
    with the keywords of ``apply``, or from ``outer`` if there is no ``apply``. ``job_seconds`` is the keyword ``async``.
    """

    name: str
    action: str
    arguments: Any
    path: str
    spelling: str = ""
    settings: TaskSettings = field(default_factory=TaskSettings)
    outer: TaskSettings = field(default_factory=TaskSettings)
    inner: TaskSettings | None = None
    place: Place | None = None
    folder: Path = field(default_factory=Path)
    ladder: LadderNode | None = None
    loop: Loop | None = None
    register: str = ""
    until: Any = None
    retries: Any = None
    delay: Any = None
    listen: tuple[str, ...] = ()
    failed_when: Any = None
    changed_when: Any = None
    risk: Any = None
    job_seconds: Any = None
    poll: Any = None

    @property
    def title(self) -> str:
        """The displayed name: the task's name, else the action as written; with its role in front."""
        if self.action == "include_role":
            return self.name or f"{self.spelling} : {self.arguments.get('name') or self.arguments.get('role', '')}"
        name = self.name or self.spelling or self.action
        return name if self.settings.role is None else type(name)(f"{self.settings.role.name} : {name}")


@dataclass(frozen=True, slots=True)
class Block:
    """A group of tasks: ``rescue`` runs after a failure, ``always`` in any case. An import and a ``role`` are blocks too.

    ``once`` identifies a role that a host runs only once in a play, with the same variables.
    """

    name: str
    path: str
    block: tuple[Node, ...]
    rescue: tuple[Node, ...] = ()
    always: tuple[Node, ...] = ()
    settings: TaskSettings = field(default_factory=TaskSettings)
    place: Place | None = None
    role: Role | None = None
    once: str = ""


Node: TypeAlias = Task | Block
"""The elements of a task list."""


@dataclass(frozen=True, slots=True)
class GatherFacts:
    """How a play gathers facts. ``wanted`` is None if the play does not say; facts are then gathered when a template reads one."""

    wanted: Any = None
    subset: Any = None
    timeout: Any = None


@dataclass(frozen=True, slots=True)
class LoadedTasks:
    """The tasks of a file or a role loaded at run time, with the handlers of their roles."""

    nodes: tuple[Node, ...]
    handlers: tuple[Node, ...] = ()
    roles: tuple[Role, ...] = ()
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Play:
    """Tasks mapped to hosts. ``index`` counts from 0 over the whole playbook."""

    name: str
    index: int
    hosts: Any
    file: Path
    place: Place | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    vars_files: tuple[Any, ...] = ()
    settings: TaskSettings = field(default_factory=TaskSettings)
    serial: tuple[Any, ...] = ()
    max_fail_percentage: Any = None
    force_handlers: bool | None = None
    pre_tasks: tuple[Node, ...] = ()
    tasks: tuple[Node, ...] = ()
    post_tasks: tuple[Node, ...] = ()
    handlers: tuple[Node, ...] = ()
    roles: tuple[Role, ...] = ()
    gather: GatherFacts | None = None
    order: Any = None
    prompts: tuple[Mapping[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """The displayed name: the play's name, else its hosts."""
        if self.name or isinstance(self.hosts, str):
            return self.name or self.hosts
        return ",".join(map(str, self.hosts)) if isinstance(self.hosts, list) else str(self.hosts)

    @property
    def sections(self) -> tuple[tuple[Node, ...], ...]:
        """The task lists in order. Handlers are flushed after each."""
        return (self.pre_tasks, self.tasks, self.post_tasks)

    def all_tasks(self) -> Iterator[Task]:
        """Yield every task, also of blocks, rungs and handlers."""
        return tasks_of((*self.pre_tasks, *self.tasks, *self.post_tasks, *self.handlers))


@dataclass(frozen=True, slots=True)
class Playbook:
    """A file of plays with its imports. ``files`` lists all files read, for the journal.

    ``decrypt`` opens encrypted content in these files and in files loaded at run time.
    """

    path: Path
    plays: tuple[Play, ...]
    files: tuple[Path, ...] = ()
    decrypt: Decrypt | None = field(default=None, repr=False, compare=False)
    roles_path: tuple[Path, ...] | None = None


def tasks_of(nodes: tuple[Node, ...]) -> Iterator[Task]:
    """Yield every task in `nodes`, including those of blocks and rungs."""
    for node in nodes:
        if isinstance(node, Block):
            yield from tasks_of((*node.block, *node.rescue, *node.always))
            continue
        yield node
        for rung in node.ladder.rungs if node.ladder else ():
            yield from tasks_of(rung.tasks)
