"""``service``, ``systemd``, ``systemd_service`` and ``win_service``: services of the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from remediation.connections.calls import Completed
from remediation.facets.scripts import shell
from remediation.model.change import StepCall
from remediation.model.errors import UsageError
from remediation.model.facts import ServiceStatus
from remediation.model.outcome import Outcome, Result
from remediation.modules.commands.programs import wrong_platform
from remediation.modules.contract import Module, ModuleTask, Program
from remediation.modules.files.placing import as_action, merged_results
from remediation.modules.result import ActionResult, done_result, failed_result, skipped_result

STEP = "service.state"
_LATER = "there is no service {} yet; check mode assumes that a change above creates it"
_RUNS = {"started": "running", "stopped": "stopped", "paused": "paused", "absent": "absent"}


class PosixService(Module):
    """A service runs or is stopped, and starts with the host or not."""

    free: ClassVar[str] = "name"
    wishes: ClassVar[tuple[str, ...]] = ("state", "enabled")
    rules: ClassVar[Mapping[str, Any]] = {"required_one_of": [["state", "enabled"]]}
    lacking: ClassVar[Mapping[str, str]] = {"name": "missing required arguments: name"}

    name: str | None = Field(None, description="name of the service")
    state: Literal["started", "stopped", "reloaded", "restarted"] | None = Field(None, description="whether it runs")
    enabled: bool | None = Field(None, description="whether it starts with the host")
    use: str = Field("auto", description="accepted for compatibility; the host's service manager is used")
    pattern: str | None = Field(None, description="accepted for compatibility")
    arguments: str | None = Field(None, alias="args", description="accepted for compatibility")
    sleep: int | None = Field(None, description="accepted for compatibility")
    runlevel: str | None = Field(None, description="accepted for compatibility")

    @model_validator(mode="after")
    def _complete(self) -> PosixService:
        wanted = [name for name in self.wishes if getattr(self, name) not in {None, False}]
        if not wanted and self.enabled is None and "required_one_of" in self.rules:
            raise ValueError(f"expected one of {', '.join(self.wishes)}")
        if self.name is None and not {*wanted} <= {"daemon_reload", "daemon_reexec"}:
            raise ValueError("name: is required")
        return self

    @property
    def user(self) -> bool:
        """Whether it is a service of the login's own systemd."""
        return False

    def run(self, task: ModuleTask) -> ActionResult:
        """Reach the state."""
        if task.windows:
            return wrong_platform("service", "win_service", task)
        return self._reach(self.name or "", task)

    def _reach(self, name: str, task: ModuleTask, **more: Any) -> ActionResult:
        status = task.reader().service_manager.status(name, user=self.user)
        if status is None:
            if task.check():
                return skipped_result(_LATER.format(name))
            manager = f"its manager must be systemd, or it needs a script /etc/init.d/{name}"
            return failed_result(f"Could not find the requested service {name}: host", manager)
        given: dict[str, Any] = {"service": name, "user": self.user, "risk_level": str(task.risk()), **more}
        if self.enabled is not None:
            given["enabled"] = self.enabled
        reloading = self.state == "reloaded" and status.state == "running"
        if self.state in {"started", "reloaded"}:
            given["state"] = "running"
        elif self.state == "stopped":
            given["state"] = "stopped"
        results: list[Result] = []
        if self.state == "restarted":
            results += _restart_service(given, status, task)
        else:
            results.append(task.reach(StepCall(STEP, given)))
        if reloading and not results[-1].outcome.bad:
            results.append(_reload(name, task, user=self.user))
        result = merged_results(results)
        values = {"name": name, "status": dict(status.details), **self._status_fields()}
        return as_action(result, values)

    def _status_fields(self) -> dict[str, Any]:
        state = {} if self.state is None else {"state": "stopped" if self.state == "stopped" else "started"}
        return {**({"enabled": self.enabled} if self.enabled is not None else {}), **state}


class Systemd(PosixService):
    """A systemd unit runs or is stopped, is enabled or not, and is masked or not."""

    aliases: ClassVar[Mapping[str, str]] = {"service": "name", "unit": "name"}
    wishes: ClassVar[tuple[str, ...]] = ("state", "enabled", "masked", "daemon_reload", "daemon_reexec")
    rules: ClassVar[Mapping[str, Any]] = {
        "required_by": dict.fromkeys(("state", "enabled", "masked"), "name")
    }  # fmt: skip
    lacking: ClassVar[Mapping[str, str]] = {}

    state: Literal["reloaded", "restarted", "started", "stopped"] | None = Field(None, description="whether it runs")
    masked: bool | None = Field(None, description="whether systemd refuses to start it")
    daemon_reload: bool = Field(default=False, alias="daemon-reload", description="read the unit files again first")
    daemon_reexec: bool = Field(default=False, alias="daemon-reexec", description="start systemd itself again first")
    scope: Literal["system", "user", "global"] = Field("system", description="whose systemd it is")
    no_block: bool = Field(default=False, description="accepted for compatibility; the state is always awaited")
    force: bool = Field(default=False, description="accepted for compatibility")

    @property
    def user(self) -> bool:
        """Whether it is a service of the login's own systemd."""
        return self.scope == "user"

    def run(self, task: ModuleTask) -> ActionResult:
        """Reach the state."""
        if task.windows:
            return wrong_platform("systemd", "win_service", task)
        if self.scope == "global":
            raise UsageError(
                "systemd: scope global is not supported", next_step="use scope system, or command: systemctl --global"
            )
        for wanted, verb in ((self.daemon_reload, "daemon-reload"), (self.daemon_reexec, "daemon-reexec")):
            if wanted and (problem := self._reload_files(verb, task)) is not None:
                return problem
        if self.name is None:
            return done_result(changed=False, name=None, status={})
        return self._reach(self.name, task, **({"masked": self.masked} if self.masked is not None else {}))

    def _reload_files(self, verb: str, task: ModuleTask) -> ActionResult | None:
        """Let systemd read its files again; return the failure, None if it did."""
        argv = ("systemctl", *(("--user",) if self.user else ()), verb)

        def parse(reply: Completed) -> ActionResult:
            why = f"failure {reply.rc} during {verb}: {reply.stderr.decode(errors='replace').strip()}"
            return failed_result(why) if reply.rc else done_result(changed=True)

        program = Program(argv, None, f"systemctl {verb}", outcome=parse)
        if task.check():
            task.foresee(program)
            return None
        acted = task.execute(program)
        return acted if acted.outcome.bad else None


class WinService(Module):
    """A Windows service exists as described, and runs or is stopped."""

    refused: ClassVar[tuple[str, ...]] = (
        "dependencies", "dependency_action", "desktop_interact", "error_control", "failure_actions", "failure_actions_on_non_crash_failure",
        "failure_command", "failure_reboot_msg", "failure_reset_period_sec", "load_order_group", "password", "pre_shutdown_timeout_ms",
        "required_privileges", "service_type", "sid_info", "update_password",
    )  # fmt: skip

    name: str = Field(..., description="name or display name of the service")
    state: Literal["started", "stopped", "restarted", "paused", "absent"] | None = Field(None, description="whether it runs")
    start_mode: Literal["auto", "delayed", "manual", "disabled"] | None = Field(None, description="how it starts")
    path: str | None = Field(None, description="command line of the service; creates a missing service")
    display_name: str | None = Field(None, description="name shown to users")
    description: str | None = Field(None, description="description")
    username: str | None = Field(
        None, description="account of the service: LocalSystem, NT AUTHORITY\\NetworkService or a managed account"
    )
    force_dependent_services: bool = Field(default=False, description="stop the services that depend on it too")

    def run(self, task: ModuleTask) -> ActionResult:
        """Reach the state."""
        if not task.windows:
            return wrong_platform("win_service", "service", task)
        status = task.reader().service_manager.status(self.name)
        if status is None and self.path is None and self.state != "absent":
            if task.check():
                return skipped_result(_LATER.format(self.name))
            return failed_result(f"Service '{self.name}' is not installed, need to set 'path' to create a new service")
        settings = {
            name: value
            for name in ("start_mode", "path", "display_name", "description", "username")
            if (value := getattr(self, name)) is not None
        }
        given: dict[str, Any] = {
            "service": status.name if status else self.name,
            "force": self.force_dependent_services,
            "risk_level": str(task.risk()),
        }
        if self.state == "absent":
            return as_action(_remove_service(given, status, task), {"exists": False})
        results = [
            task.reach(StepCall(STEP, {**given, **settings, **({"state": _RUNS[self.state]} if self.state in _RUNS else {})}))
        ]
        if self.state == "restarted" and not results[0].outcome.bad:
            results += _restart_service(given, status or ServiceStatus(self.name, "stopped"), task)
        result = merged_results(results)
        seen = task.reader().service_manager.status(self.name) or status
        values = {**seen.details, "state": seen.state} if seen is not None else {"exists": False}
        if result.outcome is Outcome.WOULD_CHANGE and seen is not None:
            values |= settings | (
                {"state": "running" if self.state in {"started", "restarted"} else self.state} if self.state else {}
            )
        return as_action(result, values)


def _remove_service(given: dict[str, Any], status: ServiceStatus | None, task: ModuleTask) -> Result:
    results = []
    if status is not None and status.state == "running":
        results.append(task.reach(StepCall(STEP, {**given, "state": "stopped", "passing": True})))
    if not results or not results[0].outcome.bad:
        results.append(task.reach(StepCall(STEP, {**given, "state": "absent"})))
    return merged_results(results)


def _restart_service(given: dict[str, Any], status: ServiceStatus, task: ModuleTask) -> list[Result]:
    """Restart a service: by systemd in one step where the start has an ID, else by stopping and starting it."""
    if status.instance:
        return [task.reach(StepCall(STEP, {**given, "state": "restarted", "instance": status.instance}))]
    results = []
    if status.state != "stopped":
        results.append(task.reach(StepCall(STEP, {**given, "state": "stopped", "passing": True})))
        if results[0].outcome.bad:
            return results
    return [*results, task.reach(StepCall(STEP, {**given, "state": "running", "passing": status.state != "stopped"}))]


def _reload(name: str, task: ModuleTask, *, user: bool) -> Result:
    """Let a running service read its settings again; that is no state, so it runs as a program."""
    program = Program(
        ("sh", "-c", shell("service"), "service", "reload", name, "user" if user else ""), None, f"reload the service {name}"
    )
    if task.check():
        task.foresee(program)
        return Result(Outcome.WOULD_CHANGE)
    acted = task.execute(program)
    return acted.step_result or Result(acted.outcome, acted.reason, next_step=acted.next_step)
