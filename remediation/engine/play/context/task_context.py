"""Everything needed to run one task on one host."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from remediation.engine.context import HostMemory, Policy, StepContext, no_lease
from remediation.engine.internal_errors import contain_errors
from remediation.engine.lease.lock import LockHeld
from remediation.engine.play.context.host_state import HostState, TaskResult
from remediation.engine.play.context.open_hosts import OpenedHost
from remediation.engine.play.context.results import censor, jsonable
from remediation.engine.play.context.run_state import PlayState
from remediation.engine.play.context.variables import Layer, TaskVariables, of_task, render_all
from remediation.model.errors import Blocked, Place, RemediationError, UsageError
from remediation.model.event import Event
from remediation.model.event_data import NoteData
from remediation.model.secrets.masking import secrets_in
from remediation.playbook.keywords import FALSE, TRUE
from remediation.playbook.model import Task, TaskSettings
from remediation.templating.lazy import OMIT
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import has_template, place_of
from remediation.templating.yaml.secret import Secret

LOCALHOST = ("localhost", "127.0.0.1")
POLICY = ("max_risk", "close_programs", "warn_seconds", "ansible_connection")


@dataclass(frozen=True)
class TaskContext:
    """One task on one host. ``included`` are the vars of the includes around it, ``loop`` the variables of its loop item."""

    play: PlayState
    host: HostState
    variables: TaskVariables
    task: Task
    included: tuple[Layer, ...] = ()
    loop: Layer = field(default_factory=dict)
    path: str = ""
    used: list[OpenedHost] = field(default_factory=list, compare=False)

    @property
    def settings(self) -> TaskSettings:
        """The task's keywords."""
        return self.task.settings

    def scope(self, own: Layer | None = None) -> Scope:
        """Return the variables in scope; `own` is the result that the task's own conditions see."""
        return self.variables.scope(self.settings, loop=self.loop, included=self.included, own=own, special=self._special)

    @cached_property
    def _special(self) -> Layer:
        return of_task(self.play, self.settings, self.task.folder, self.delegate)

    def item(self, number: int, names: Layer) -> TaskContext:
        """Return the same task for one item of its loop."""
        return dataclasses.replace(self, loop={**self.loop, **names}, path=f"{self.path}/{number}")

    def switch(self, value: Any, *, default: bool = False) -> bool:
        """Return the value of a boolean keyword. Raises `RemediationError`."""
        if value is None or isinstance(value, bool):
            return default if value is None else value
        result = self.scope().render(value)
        if result is OMIT:
            return default
        text = str(result).strip().lower()
        if text in TRUE | FALSE:
            return text in TRUE
        raise UsageError(f"expected true or false, got {result!r}", place=place_of(value) or self.task.place)

    def number(self, value: Any, default: float, scope: Scope | None = None) -> float:
        """Return the value of a numeric keyword. Raises `RemediationError`."""
        if value is None:
            return default
        result = (scope or self.scope()).render(value) if has_template(value) else value
        if result is OMIT:
            return default
        try:
            number = float(result)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise UsageError(f"expected a number, got {result!r:.40}", place=place_of(value) or self.task.place)
        return number

    def _limit(self, value: Any) -> float:
        """Return a time limit in seconds, 0 for none. Raises `RemediationError`."""
        seconds = self.number(value, 0.0)
        if seconds < 0:
            raise UsageError(f"a time limit must be 0 or more seconds, got {seconds:g}", place=place_of(value) or self.task.place)
        return seconds

    def check(self) -> bool:
        """Return whether this task runs in check mode."""
        return self.switch(self.settings.check_mode, default=self.play.stage.request.policy.check)

    def hidden(self) -> bool:
        """Return whether the task's output is hidden (``no_log``)."""
        try:
            return self.switch(self.settings.no_log)
        except RemediationError:
            return True  # when in doubt, hide

    def background(self) -> float | None:
        """Return the limit in seconds of a program that runs in the background (``poll: 0``), None if the task waits for it."""
        seconds = self._limit(self.task.job_seconds)
        return seconds if seconds and self.task.poll is not None and not self.number(self.task.poll, 1.0) else None

    def timeout(self) -> float | None:
        """Return the task's own time limit in seconds."""
        return self._limit(self.settings.timeout) or None

    def policy(self) -> Policy:
        """Return the user's limits for the host that runs the task; a playbook cannot raise them."""
        request = self.play.stage.request
        name = self.delegate()
        base, inventory = request.policy, self.play.stage.inventory
        scope = Scope((request.extra, *inventory.layers(name), inventory.magic(name)))
        own = base.for_host({name: scope.render(scope[name]) for name in POLICY if name in scope})
        return dataclasses.replace(own, check=self.check(), diff=self.switch(self.settings.diff, default=own.diff))

    def delegate(self) -> str:
        """Return the name of the host that runs the task: the delegate, or the task's own host."""
        return self._delegate_name

    @cached_property
    def _delegate_name(self) -> str:
        """The same host for the whole task, also if its name is random."""
        wanted = self.settings.delegate_to
        return str(self.scope().render(wanted)) if wanted is not None else self.host.name

    def open(self) -> OpenedHost:
        """Return the host that runs this task. Raises `RemediationError` if its variables do not describe a connection."""
        stage = self.play.stage
        name = self.delegate()

        def variables() -> Mapping[str, Any]:
            if name == self.host.name:
                return render_all(self.scope())
            scope = self.variables.delegate_scope(self.settings, name, included=self.included)
            if name not in stage.names and name in LOCALHOST:
                return {**render_all(scope), "ansible_connection": "local"}
            return render_all(scope)

        rights = self.rights()
        found = stage.opened.open(
            self.host.name, name, variables, check=self.check(), rights=rights, chosen=self._connection_variables()
        )
        if "ansible_become" in rights and found.access.connection.platform == "windows":
            sentence = f"{name}: become is not supported on Windows: the login's own rights apply"
            raise Blocked(sentence, host=name, next_step="use a login that is an administrator, and become: false for this host")
        if not any(found is known for known in self.used):
            self.used.append(found)
        self.report_notes()
        return found

    def _connection_variables(self) -> Sequence[tuple[str, Any]]:
        """Return the connection variables that a play, task or fact sets: with other values it is another connection."""
        names = self.variables.connection_names(self.settings, included=self.included)
        if not names:
            return ()
        scope = self.scope()
        values = {name: scope[name] for name in names}
        return tuple((name, value if isinstance(value, Secret) else repr(scope.render(value))) for name, value in values.items())

    def report_notes(self) -> None:
        """Report the notes of this task's connections (security and speed), once per host and run."""
        for opened in self.used:
            for text in self.play.stage.opened.news(opened):
                self.note(text, level="warning")

    def rights(self) -> Mapping[str, Any]:
        """Return ``become`` and ``become_user`` as connection variables; the host's own variables take precedence, as in Ansible."""
        user = self.settings.become_user
        found: dict[str, Any] = {} if user is None else {"ansible_become_user": str(self.scope().render(user))}
        for variable, keyword in _OF_KEYWORDS.items():
            value = getattr(self.settings, keyword)
            if value is not None:
                found[variable] = self.scope().render(value)
        return {"ansible_become": True, **found} if self.switch(self.settings.become) else found

    def hold(self, opened: OpenedHost) -> Callable[[float], None]:
        """Take the host's lease, and return the function that renews it before each change. Check mode takes none."""
        if self.check():
            return no_lease
        try:
            return self.play.stage.opened.lease(opened, self.note)
        except LockHeld:
            self.host.busy = True
            raise

    def context(self, opened: OpenedHost, hold: Callable[[float], None]) -> StepContext:
        """Return the context in which a step runs."""
        own = opened.name == self.host.name
        return StepContext(
            opened.name,
            opened.access,
            self.policy(),
            dataclasses.replace(self.play.stage.ports, emit=self._emit_recorded),
            self.host.memory if own else HostMemory(),
            self.play.title,
            self.title(),
            self.path,
            self.timeout(),
            hold,
        )

    def contain_errors(self) -> AbstractContextManager[None]:
        """Turn an internal error into an `InternalError` of this host."""
        return contain_errors(self.host.name, self.play.stage.ports.crashed)

    @property
    def cancelled(self) -> bool:
        """Whether the run should stop."""
        return self.play.stage.ports.cancelled()

    def cut_short(self, task_result: TaskResult) -> bool:
        """Return whether Ctrl-C stopped the task early; `resume` then repeats it, knowing its completed changes."""
        return self.cancelled and (
            task_result.outcome.bad or bool(task_result.step_result and task_result.step_result.interrupted)
        )

    def pause(self, seconds: float) -> None:
        """Wait by the controller's clock; return early on Ctrl-C."""
        ports = self.play.stage.ports
        ports.clock.sleep(seconds, ports.wait)
        self.forget()

    def forget(self) -> None:
        """Invalidate the snapshot of the host that runs the task: something was done there, or time passed."""
        state = self.play.stage.hosts.get(self.delegate())
        if state is not None:
            state.memory.seen = None

    def _emit_recorded(self, event: Event) -> None:
        """Pass an event on. Remember the layers of the latest goal for the figures, and add the become settings to a change."""
        if event.kind == "goal":
            layers = event.data.get("values", {}).get("layers")
            known = isinstance(layers, Sequence) and len(layers) == 2
            self.host.layers = (int(layers[0]), int(layers[1])) if known else None
        if event.kind == "change_start" and (rights := self.rights()):
            event = dataclasses.replace(event, data={**event.data, "rights": rights})  # undo needs them as well
        if self.hidden():
            event = censor(event)
        self.play.stage.ports.emit(event)

    def title(self) -> str:
        """Return the task's name with its templates rendered where possible."""
        return self.render_name(self.task.title)

    def render_name(self, name: str) -> str:
        """Return a name with its templates rendered where possible."""
        if not has_template(name):
            return str(name)
        try:  # one name for all items of a loop, as in Ansible
            scope = self.variables.scope(self.settings, included=self.included, special=self._special)
            return str(scope.render(name))
        except RemediationError:
            return str(name)

    def render_tag(self, tag: str) -> tuple[str, ...]:
        """Return the tags of a rendered tag: a template may be a list."""
        if not has_template(tag):
            return (str(tag),)
        try:
            found = self.scope().render(tag)
        except RemediationError:
            return (str(tag),)
        return tuple(map(str, found)) if isinstance(found, (list, tuple)) else (str(found),)

    def emit(self, kind: str, **data: Any) -> None:
        """Emit one event of this task on this host."""
        self.play.stage.emit(kind, host=self.host.name, play=self.play.title, task=self.title(), **data)

    def learn(self, value: Any) -> None:
        """Mask the secrets in `value` from now on: those that this task derived or sets under a secret name."""
        self.play.stage.ports.mask.learn(value)

    def learn_hidden(self, parameters: Mapping[str, Any]) -> None:
        """Mask the settings of a step with ``no_log`` from now on (``env_file.set``, ``environment.set``)."""
        if self.hidden():
            tables = [value for value in parameters.values() if isinstance(value, Mapping)]
            self.play.stage.ports.mask.add(*secrets_in(tables, named=True))

    def masked(self, item: Any) -> Any:
        """Return an item in the form of the run's events."""
        return self.play.stage.ports.mask(jsonable(item))

    def note(self, text: str, *, level: str = "info") -> None:
        """Emit a note."""
        self.emit("note", **NoteData(text=text, level=level))

    @property
    def place(self) -> Place | None:
        """The task's position in its file."""
        return self.task.place


_OF_KEYWORDS = {
    "ansible_become_method": "become_method", "ansible_connection": "connection", "ansible_port": "port",
    "ansible_user": "remote_user",
}  # fmt: skip
"""Connection variables, and the keywords that set them for hosts that do not."""
