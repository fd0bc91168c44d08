"""What a module is: typed parameters, and what it does with them through a `ModuleTask`.

A module has no second way to change a host. It runs a program or script (`ModuleTask.execute`), or names states for the step engine to
reach (`ModuleTask.reach`). The engine adds the risk gate, the journal, check mode, diffs and undo. See ``docs/extending.md``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator

from remediation.connections.calls import Call, Probe, Reply
from remediation.model.change import Risk, StepCall
from remediation.model.secrets.names import sounds_secret
from remediation.modules.result import ActionResult

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader
    from remediation.model.clock import Clock
    from remediation.model.outcome import Result


LONGEST = 10**9
"""Highest duration in seconds, 30 years. The functions of the operating system that wait do not accept every number."""
Duration: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]
"""A duration in seconds."""


UNSHOWN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
"""What ``invocation`` has in the place of a secret, as in Ansible."""
_UNSHOWN = frozenset({"body", "headers", "stdin"})
"""Parameters that often hold a credential."""

PATHS = frozenset({"chdir", "creates", "dest", "dir", "file", "path", "removes", "src"})
"""Parameters that hold a path in every action."""


class UnfitError(ValueError):
    """A parameter or a combination of parameters is refused; ``ansible_message`` is Ansible's message for it."""

    def __init__(self, message: str, ansible_message: str) -> None:
        super().__init__(message)
        self.ansible_message = ansible_message


class Action(BaseModel):
    """The parameters of an action.

    ``free`` is the parameter for a bare string, ``words`` are those that may be written inside it (``chdir=/tmp``), and ``open`` allows
    any names. ``aliases`` are further names of parameters. ``invoked`` is false if Ansible runs the action without a module on the host,
    so that its result has no ``invocation``. ``rules`` relate parameters, by Ansible's names (``mutually_exclusive``, ``required_one_of``),
    and ``lacking`` has Ansible's messages for required parameters that are not given, where it has its own. ``refused`` are Ansible's parameters that
    are not known here; its message about an unknown one (``strange``) lists them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    free: ClassVar[str] = ""
    words: ClassVar[tuple[str, ...]] = ()
    open: ClassVar[bool] = False
    aliases: ClassVar[Mapping[str, str]] = {}
    rules: ClassVar[Mapping[str, Any]] = {}
    lacking: ClassVar[Mapping[str, str]] = {}
    refused: ClassVar[tuple[str, ...]] = ()
    strange: ClassVar[str] = "Unsupported parameters for ({module}) module: {names}. Supported parameters include: {known}."
    invoked: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _check_paths(cls, given: Any) -> Any:
        """Refuse a path that no system can have; what a host says of it would mislead."""
        for name in PATHS & given.keys() if isinstance(given, Mapping) else ():
            if isinstance(given[name], str) and "\0" in given[name]:
                msg = f"{name}: a path cannot contain a NUL character"
                raise ValueError(msg)
        return given


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run, or with `script` a script that answers with JSON.

    ``cmd`` is the command line as the result shows it; ``shown`` is the same with secrets masked, for changes and plans. ``outcome``
    makes the result from the `Completed` program or the script's value; the default is that of ``command``.
    """

    argv: tuple[str, ...]
    cmd: Any
    shown: str
    stdin: bytes = b""
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    strip: bool = True
    risk: Risk = Risk.SAFE
    script: Probe | None = None
    outcome: Callable[[Any], ActionResult] | None = None


class ModuleTask(Protocol):
    """One task on one host, as a module sees it. Methods raise `HostError` and `UsageError`, which become the task's result."""

    @property
    def host(self) -> str:
        """The name of the host that runs the task."""

    @property
    def windows(self) -> bool:
        """Whether the host runs Windows."""

    @property
    def local(self) -> bool:
        """Whether the host is this machine."""

    @property
    def clock(self) -> Clock:
        """The clock for waiting; a simulated host's time runs faster."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables in scope at the task, evaluated when they are read."""

    def check(self) -> bool:
        """Return whether the task runs in check mode."""

    def diff(self) -> bool:
        """Return whether differences are shown."""

    def hidden(self) -> bool:
        """Return whether the task's output is hidden (``no_log``)."""

    def environment(self) -> Mapping[str, str]:
        """Return the task's ``environment``."""

    def masked(self, text: str) -> str:
        """Return `text` with secrets masked."""

    def limit(self, default: float) -> float:
        """Return the task's own ``timeout`` in seconds, or `default`."""

    def read(self, *calls: Call) -> Sequence[Reply]:
        """Send read-only calls to the host in one exchange."""

    def reader(self) -> Reader:
        """Return the host's facets, read only, with a new snapshot."""

    def execute(self, program: Program) -> ActionResult:
        """Run a program: as a change of the task's risk, journaled, and never repeated."""

    def foresee(self, program: Program) -> None:
        """Put a program that check mode does not run into a saved plan."""

    def reach(self, call: StepCall) -> Result:
        """Reach the state that a step names; check mode predicts the changes."""

    def find(self, name: str, folder: str) -> Path | None:
        """Return a file of the playbook: in `folder` (``files``, ``templates``) first, then next to it."""

    def search_paths(self, name: str, folder: str) -> Sequence[Path]:
        """Return the paths at which `find` searches a file; none for an absolute name."""

    def template(self, path: Path, text: str, *, name: str, destination: str, **settings: Any) -> Any:
        """Return the text of a template file, evaluated with the task's variables; a `Secret` if a secret is in it.

        `name` is its path as the playbook has it, `destination` where the text goes.
        """

    def wait(self, seconds: float) -> bool:
        """Wait by the host's clock. Returns whether the run goes on."""

    def ask(self, question: str, *, hide: bool = False) -> str | None:
        """Ask the user who started the run for a line, None without one."""

    def risk(self) -> Risk:
        """Return the risk of the task's changes: the module's, or the task's own if that is higher."""


class Module(Action, ABC):
    """A module: parameters as pydantic fields, with Ansible's names and defaults.

    ``risk`` is the risk of its changes unless the task has a higher one. ``local`` modules touch no host.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True, coerce_numbers_to_str=True)

    risk: ClassVar[Risk] = Risk.SAFE
    local: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _as_ansible_reads(cls, given: Any) -> Any:
        """Resolve aliases, split text where a list is expected, and take booleans as text where text is expected."""
        if not isinstance(given, Mapping):
            return given
        return {
            cls.aliases.get(str(name), str(name)): _coerce(cls, cls.aliases.get(str(name), str(name)), value)
            for name, value in given.items()
        }

    @abstractmethod
    def run(self, task: ModuleTask) -> ActionResult:
        """Do what the module does. Check mode is the module's own matter only where it neither executes nor reaches anything."""


def module_args(given: Action) -> dict[str, Any]:
    """Return the parameters as ``invocation.module_args`` has them: with defaults and by all their names, without secrets and content."""
    found: dict[str, Any] = {}
    for name, field_ in type(given).model_fields.items():
        found |= dict.fromkeys((name, field_.alias or name), _shown_argument(name, getattr(given, name)))
    found |= {alias: found[name] for alias, name in given.aliases.items() if name in found}
    return {**found, "_raw_params": found[given.free], given.free: None} if given.free else found


def _shown_argument(name: str, value: Any) -> Any:
    if value is None or name == "content":
        return None
    if value and (name in _UNSHOWN or sounds_secret(name)):
        return UNSHOWN
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _coerce(cls: type[Module], name: str, value: Any) -> Any:
    field_ = cls.model_fields.get(name) or next((each for each in cls.model_fields.values() if each.alias == name), None)
    if field_ is None or not isinstance(value, (str, bool, int, float)):
        return value
    kinds = get_args(field_.annotation) or (field_.annotation,)
    if any(get_origin(kind) is list for kind in (field_.annotation, *kinds)):
        if not isinstance(value, str):
            return [value]
        return [part.strip() for part in value.split(",")] if value.strip() else []
    return str(value) if isinstance(value, bool) and str in kinds and bool not in kinds else value
