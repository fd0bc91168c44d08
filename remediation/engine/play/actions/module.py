"""Runs a module on a host: what `remediation.modules.contract.ModuleTask` promises, from the parts of the engine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediation.connections.calls import Call, Reply
from remediation.engine.play.actions.program import environment_of, plan_program, run_as_change, task_risk, valid_environment
from remediation.engine.play.context.open_hosts import OpenedHost
from remediation.engine.play.context.results import refused_result
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.step.attempts import outcome_of
from remediation.engine.step.executor import execute_step
from remediation.model.change import Risk, StepCall
from remediation.model.clock import Clock
from remediation.model.errors import HostError, UsageError
from remediation.model.outcome import Outcome, Result
from remediation.modules.contract import Module, Program
from remediation.modules.paths import searched_paths
from remediation.modules.result import ActionResult
from remediation.playbook.load_context import find_file
from remediation.templating.lookups.lists import found_in
from remediation.templating.templar import Scope
from remediation.templating.template_files import SEARCH_PATH, render_template, template_variables

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader


def module_action(given: Module, site: TaskContext, scope: Scope) -> ActionResult:
    """Run the module of a task."""
    try:
        return _as_job(given.run(EngineTask(given, site, scope)), site)
    except HostError as error:
        return refused_result(error, outcome_of(error))
    except UsageError as error:
        error.place = error.place or site.place
        raise


def _as_job(acted: ActionResult, site: TaskContext) -> ActionResult:
    """Return the result of a task with ``async`` that waited for its end as that of a job that has ended."""
    if not site.number(site.task.job_seconds, 0.0) or site.background() is not None:
        return acted
    late: dict[str, Any] = {}
    if acted.outcome is Outcome.TIMED_OUT:
        late = {"msg": "Timeout exceeded", "stdout": "", "stdout_lines": [], "stderr": "", "stderr_lines": []}
    name, folder = f"j{secrets.randbelow(10**12)}.{os.getpid()}", "~/.ansible_async"  # no file stays: the task has ended
    job = {"started": True, "finished": True, "ansible_job_id": name, "results_file": f"{folder}/{name}"}
    return replace(acted, values={**acted.values, **late, **job})


class EngineTask:
    """See `remediation.modules.contract.ModuleTask`."""

    def __init__(self, module: Module, site: TaskContext, scope: Scope) -> None:
        self._module, self._site, self._scope = module, site, scope
        self._found: OpenedHost | None = None
        self._reached = 0

    @property
    def _opened(self) -> OpenedHost:
        if self._found is None:
            self._found = self._site.open()
        return self._found

    @property
    def host(self) -> str:
        """The name of the host that runs the task."""
        return self._opened.name

    @property
    def windows(self) -> bool:
        """Whether the host runs Windows."""
        return self._opened.access.connection.platform == "windows"

    @property
    def local(self) -> bool:
        """Whether the host is this machine."""
        return self._opened.machine == "local"

    @property
    def clock(self) -> Clock:
        """The clock for waiting; a simulated host's time runs faster."""
        return self._site.play.stage.ports.clock if self._module.local else self._opened.access.clock

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables in scope at the task."""
        return self._scope

    def check(self) -> bool:
        """Return whether the task runs in check mode."""
        return self._site.check()

    def diff(self) -> bool:
        """Return whether differences are shown."""
        return self._site.switch(self._site.settings.diff, default=self._site.play.stage.request.policy.diff)

    def hidden(self) -> bool:
        """Return whether the task's output is hidden."""
        return self._site.hidden()

    def environment(self) -> Mapping[str, str]:
        """Return the task's ``environment``."""
        return valid_environment(environment_of(self._site, self._scope), self._site, self._opened)

    def masked(self, text: str) -> str:
        """Return `text` with secrets masked."""
        return self._site.play.stage.ports.mask.text(text)

    def limit(self, default: float) -> float:
        """Return the task's own ``timeout`` in seconds, or `default`."""
        return self._site.timeout() or default

    def read(self, *calls: Call) -> Sequence[Reply]:
        """Send read-only calls in one exchange."""
        return self._opened.access.connection.exchange(list(calls))

    def reader(self) -> Reader:
        """Return the host's facets with a new snapshot."""
        return self._opened.access.reader_for(self._site.task.action)

    def execute(self, program: Program) -> ActionResult:
        """Run a program as a change; with ``poll: 0``, start it in the background."""
        seconds = self._site.background()
        if seconds is not None and program.script is None:
            if self.windows:
                raise UsageError(
                    f"poll: 0: {self.host} is a Windows host, on which no program runs in the background",
                    next_step="leave poll out, and the task waits up to the seconds of async",
                )
            from remediation.modules.commands.jobs import background_program

            program = background_program(program, seconds)
        return run_as_change(replace(program, risk=max(program.risk, self.risk())), self._site, self._opened)

    def foresee(self, program: Program) -> None:
        """Put a program that check mode does not run into a saved plan."""
        plan_program(replace(program, risk=max(program.risk, self.risk())), self._site)

    def reach(self, call: StepCall) -> Result:
        """Reach the state that a step names."""
        site, opened = self._site, self._opened
        context = site.context(opened, site.hold(opened))
        self._reached += 1
        # each has its own path, to which the changes of an interrupted run belong
        return execute_step(call, context if self._reached == 1 else context.below(str(self._reached)))

    def risk(self) -> Risk:
        """Return the risk of the task's changes: the module's, or the task's own if that is higher."""
        return max(self._module.risk, task_risk(self._site))

    def find(self, name: str, folder: str) -> Path | None:
        """Return a file of the playbook."""
        roots = self._roots()
        file = find_file(name, tuple(roots), folder, subfolder_first=True)
        return file if file is not None else found_in(name, [place for root in roots for place in (root / folder, root)])

    def search_paths(self, name: str, folder: str) -> Sequence[Path]:
        """Return the paths at which `find` searches a file."""
        return searched_paths(name, folder, self._roots())

    def _roots(self) -> Sequence[Path]:
        """Return the folders in which the files of the task are searched."""
        return [Path(str(each)) for each in self._scope[SEARCH_PATH]] if SEARCH_PATH in self._scope else [self._site.task.folder]

    def template(self, path: Path, text: str, *, name: str, destination: str, **settings: Any) -> Any:
        """Return the text of a template file, evaluated."""
        variables = template_variables(path, name, self._scope, destination)
        return render_template(path, text, self._scope, variables, **settings)

    def wait(self, seconds: float) -> bool:
        """Wait by the host's clock. Returns whether the run goes on."""
        ports = self._site.play.stage.ports
        self.clock.sleep(seconds, ports.wait)
        return not ports.cancelled()

    def ask(self, question: str, *, hide: bool = False) -> str | None:
        """Ask the user who started the run for a line."""
        ports = self._site.play.stage.ports
        with ports.asking:
            return ports.prompt.line(question, hide=hide) if ports.prompt.available else None
