"""A service of the host: whether it runs, how it starts, and on Windows its definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.facts import ServiceStatus
from remediation.steps.contract import Step, param, step

_VERBS = {"running": "start", "stopped": "stop", "paused": "pause", "absent": "remove"}
_DEFINITION = ("path", "display_name", "description", "username")


@step("service.state", settle=30.0)
class ServiceState(Step[ServiceStatus | None]):
    """A service runs or is stopped, starts with the host or not, and on Windows is defined as given.

    What is not given is left as it is. ``restarted`` means another start than ``instance``, systemd's InvocationID of the running service.
    """

    service: str = param("name of the service", example="ollama", min_length=1)
    state: Literal["running", "stopped", "paused", "restarted", "absent"] | None = param(
        "whether it runs", default=None, example="running"
    )
    enabled: bool | None = param("whether it starts with the host (POSIX hosts)", default=None)
    masked: bool | None = param("whether systemd refuses to start it", default=None)
    start_mode: Literal["auto", "delayed", "manual", "disabled"] | None = param("how it starts (Windows)", default=None)
    path: str | None = param("command line of the service (Windows); creates a missing service", default=None)
    display_name: str | None = param("name shown to users (Windows)", default=None)
    description: str | None = param("description (Windows)", default=None)
    username: str | None = param("account of the service without a password, such as LocalSystem (Windows)", default=None)
    user: bool = param("a service of the login's own systemd", default=False)
    force: bool = param("stop the services that depend on it too (Windows)", default=False)
    instance: str = param("the start that a restart has to replace", default="")
    passing: bool = param("the state is passed through (a restart), so undo leaves it out", default=False)
    risk_level: Literal["observe", "safe", "disruptive", "destructive"] = param("risk of the changes", default="safe")

    def observe(self, host: Reader) -> ServiceStatus | None:
        return host.service_manager.status(self.service, user=self.user)

    def is_met(self, state: ServiceStatus | None) -> bool:
        if state is None or self.state == "absent":
            return state is None and self.state == "absent"
        return not self._settings(state) and not self._units(state) and self._runs(state)

    def _runs(self, status: ServiceStatus) -> bool:
        if self.state == "restarted":
            return status.state == "running" and status.instance != self.instance
        return self.state is None or status.state == self.state

    def _settings(self, status: ServiceStatus) -> dict[str, str]:
        """Return the parts of a Windows service's definition that differ, as they should be."""
        found = {name: getattr(self, name) for name in _DEFINITION}
        wanted = {name: value for name, value in found.items() if value is not None and value != status.details.get(name)}
        return wanted | ({"start_mode": self.start_mode} if self.start_mode not in {None, status.start_mode} else {})

    def _units(self, status: ServiceStatus) -> list[str]:
        """Return the verbs that enable, disable, mask or unmask it."""
        verbs = []
        if self.masked is not None and status.masked != self.masked:
            verbs.append("mask" if self.masked else "unmask")
        if self.enabled is not None and status.enabled != self.enabled:
            verbs.append("enable" if self.enabled else "disable")
        return verbs

    def plan(self, state: ServiceStatus | None) -> Iterator[Change]:
        status, risk = state, Risk.parse(self.risk_level)
        if self.is_met(state) or (status is None and self.path is None):
            return
        if status is None:
            settings = {name: value for name in (*_DEFINITION, "start_mode") if (value := getattr(self, name)) is not None}
            undo = StepCall(self.name, {"service": self.service, "state": "absent"})
            yield self._change(
                f"create the service {self.service}", risk, after=settings, undo=undo, data={"settings": settings, "create": True}
            )
        elif self.state == "absent":
            yield self._change(f"remove the service {self.service}", risk, before=status.state, data={"verb": "remove"})
            return
        elif settings := self._settings(status):
            before = {name: status.start_mode if name == "start_mode" else status.details.get(name) for name in settings}
            undo = StepCall(self.name, {"service": self.service, **before})
            words = ", ".join(f"{name} {value}" for name, value in settings.items())
            yield self._change(
                f"set {words} of the service {self.service}",
                risk,
                before=before,
                after=settings,
                undo=undo,
                data={"settings": settings},
            )
        for verb in self._units(status) if status is not None else ():
            part, value = ("masked", verb == "mask") if "mask" in verb else ("enabled", verb == "enable")
            undo = StepCall(self.name, {"service": self.service, part: not value, "user": self.user})
            yield self._change(
                f"{verb} the service {self.service}", risk, before=not value, after=value, undo=undo, data={"verb": verb}
            )
        if self.state not in {None, "absent"} and (status is None or not self._runs(status)):
            yield self._turn(status, risk)

    def _turn(self, status: ServiceStatus | None, risk: Risk) -> Change:
        before = status.state if status is not None else "stopped"
        undo = None
        if self.state != "restarted" and not self.passing and before in {"running", "stopped", "paused"} and before != self.state:
            undo = StepCall(self.name, {"service": self.service, "state": before, "user": self.user})
        verb = "restart" if self.state == "restarted" and before == "running" else _VERBS.get(self.state or "", "start")
        return self._change(
            f"{verb} the service {self.service}", risk, before=before, after=self.state, undo=undo, data={"verb": verb}
        )

    def _change(self, summary: str, risk: Risk, **more: Any) -> Change:
        return Change(summary, subject=self.service, risk=risk, **more)

    def apply(self, host: Writer, change: Change) -> None:
        if "settings" in change.data:
            host.service_manager.configure(self.service, change.data["settings"], create=bool(change.data.get("create")))
        else:
            host.service_manager.act(self.service, str(change.data["verb"]), user=self.user, force=self.force)

    def describe(self, state: ServiceStatus | None) -> str:
        if state is None:
            return f"there is no service {self.service}"
        mode = f", start mode {state.start_mode}" if state.start_mode else ""
        return f"the service {self.service} is {state.state}{mode}"

    def values(self, state: ServiceStatus | None) -> dict[str, Any]:
        if state is None:
            return {"exists": False}
        return {
            "service_state": state.state, "enabled": state.enabled, "start_mode": state.start_mode, "details": dict(state.details),
        }  # fmt: skip
