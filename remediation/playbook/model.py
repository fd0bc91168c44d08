"""A playbook as it was read: plays, tasks, blocks and ladders, each with its place; what tasks inherit is settled already.

Values that may be templates are kept as they stand in the file (`remediation.templating.nodes`) and are evaluated where a
host reaches the task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from remediation.model.errors import Place
    from remediation.templating.reading import Decrypt


@dataclass(frozen=True, slots=True)
class Settings:
    """The keywords that blocks, imports and plays hand down, as they hold for one task.

    ``when`` and ``vars`` are kept per level, the outermost first: each level is asked, or laid over the one before.
    None means that nobody said anything.
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
    run_once: Any = None
    throttle: Any = None
    timeout: Any = None
    notify: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """What a task is repeated over: ``kind`` is ``loop``, ``with_items``, ... as it stands in the file."""

    kind: str
    over: Any
    variable: str = "item"
    index: str = ""
    label: Any = None
    pause: Any = None
    extended: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """One remedy of a ladder, in the file's order: its tasks treat these causes and mechanisms together."""

    name: str
    tasks: tuple[Node, ...]
    treats: tuple[str, ...] = ()
    last_resort: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A step by its name with parameters as they stand in the file."""

    name: str
    parameters: Mapping[str, Any]
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """A goal, and the remedies that may lead to it."""

    goal: tuple[Call, ...]
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One step, action, ladder or include. ``path`` is its stable id within the run, ``folder`` that of its file.

    ``settings`` hold with its own keywords, ``outer`` without them. The tasks of a file that it includes start from ``inner``,
    which is ``outer`` with the keywords of ``apply``, or from ``outer`` where there is no ``apply``.
    """

    name: str
    action: str
    arguments: Any
    path: str
    spelling: str = ""
    settings: Settings = field(default_factory=Settings)
    outer: Settings = field(default_factory=Settings)
    inner: Settings | None = None
    place: Place | None = None
    folder: Path = field(default_factory=Path)
    ladder: Ladder | None = None
    loop: Loop | None = None
    register: str = ""
    until: Any = None
    retries: Any = None
    delay: Any = None
    listen: tuple[str, ...] = ()
    failed_when: Any = None
    changed_when: Any = None
    risk: Any = None

    @property
    def title(self) -> str:
        """The name as it is told: the action's, as it is written, where the task has none."""
        return self.name or self.spelling or self.action


@dataclass(frozen=True, slots=True)
class Block:
    """Tasks that belong together: ``rescue`` follows a failure, ``always`` runs either way. An import is one as well."""

    name: str
    path: str
    block: tuple[Node, ...]
    rescue: tuple[Node, ...] = ()
    always: tuple[Node, ...] = ()
    settings: Settings = field(default_factory=Settings)
    place: Place | None = None


Node: TypeAlias = Task | Block
"""What a list of tasks is made of."""


@dataclass(frozen=True, slots=True)
class Play:
    """Tasks mapped to hosts; ``index`` counts from 0 over the whole playbook."""

    name: str
    index: int
    hosts: Any
    file: Path
    place: Place | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    vars_files: tuple[Any, ...] = ()
    settings: Settings = field(default_factory=Settings)
    serial: tuple[Any, ...] = ()
    max_fail_percentage: Any = None
    force_handlers: bool = False
    pre_tasks: tuple[Node, ...] = ()
    tasks: tuple[Node, ...] = ()
    post_tasks: tuple[Node, ...] = ()
    handlers: tuple[Node, ...] = ()

    @property
    def title(self) -> str:
        """The name as it is told: the hosts where the play has none."""
        return self.name or (",".join(map(str, self.hosts)) if isinstance(self.hosts, list) else str(self.hosts))

    @property
    def sections(self) -> tuple[tuple[Node, ...], ...]:
        """The lists of tasks in their order; handlers are flushed after each."""
        return (self.pre_tasks, self.tasks, self.post_tasks)


@dataclass(frozen=True, slots=True)
class Playbook:
    """A file of plays, with those it imports; ``files`` are all that were read, for the journal.

    ``decrypt`` opens what is encrypted in them, and in what they load while the play runs.
    """

    path: Path
    plays: tuple[Play, ...]
    files: tuple[Path, ...] = ()
    decrypt: Decrypt | None = field(default=None, repr=False, compare=False)


def tasks_of(nodes: tuple[Node, ...]) -> Iterator[Task]:
    """Yield every task in `nodes`, those of blocks and of rungs included."""
    for node in nodes:
        if isinstance(node, Block):
            yield from tasks_of((*node.block, *node.rescue, *node.always))
            continue
        yield node
        for rung in node.ladder.rungs if node.ladder else ():
            yield from tasks_of(rung.tasks)
