"""``win_powershell``: runs a PowerShell script and returns its streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from remediation.connections.calls import Probe
from remediation.model.outcome import Outcome
from remediation.modules.commands.programs import Script, wrong_platform
from remediation.modules.contract import Module, ModuleTask, Program
from remediation.modules.paths import path_exists
from remediation.modules.result import ActionResult, done_result, failed_result
from remediation.templating.yaml.secret import reveal

_EMPTY: Mapping[str, Any] = {
    "result": {}, "host_out": "", "host_err": "", **{name: [] for name in ("output", "error", "warning", "verbose", "debug", "information")}
}  # fmt: skip
"""What a script that was not run returns."""


class WinPowershell(Module):
    """Run a PowerShell script on a Windows host."""

    free: ClassVar[str] = "script"

    script: str | None = Field(None, description="the script")
    path: str | None = Field(None, description="path of a script of the playbook, searched for in files/")
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters of the script")
    sensitive_parameters: list[dict[str, Any]] = Field(default_factory=list, description="parameters with a value to hide")
    arguments: list[Any] = Field(default_factory=list, description="arguments of the script")
    chdir: str | None = Field(None, description="working directory")
    creates: str | None = Field(None, description="path or pattern; if it exists, the script is not run")
    removes: str | None = Field(None, description="path or pattern; if it does not exist, the script is not run")
    depth: int = Field(2, description="how deep the output is converted", ge=1, le=50)
    error_action: Literal["silently_continue", "continue", "stop"] = Field("continue", description="what an error does")
    executable: str | None = Field(None, description="accepted for compatibility; the session's PowerShell is used")

    @model_validator(mode="after")
    def _check_script(self) -> WinPowershell:
        if (self.script is None) == (self.path is None):
            raise ValueError("expected either script or path")
        return self

    def run(self, task: ModuleTask) -> ActionResult:
        """Run the script; check mode skips it and expects a change."""
        if not task.windows:
            return wrong_platform("win_powershell", "shell", task)
        if self.creates is not None and path_exists(task, self.creates, self.chdir):
            return done_result(changed=False, msg=f"skipped, since {self.creates} exists", **_EMPTY)
        if self.removes is not None and not path_exists(task, self.removes, self.chdir):
            return done_result(changed=False, msg=f"skipped, since {self.removes} does not exist", **_EMPTY)
        text = str(reveal(self.script)) if self.script is not None else Script.text_of(self.path or "", task)
        if not text.strip():
            return failed_result("win_powershell: expected a script")
        program = self._program(text, task)
        if task.check():
            task.foresee(program)
            return done_result(changed=True, check=True, msg="skipped, running in check mode", **_EMPTY)
        return task.execute(program)

    def _program(self, text: str, task: ModuleTask) -> Program:
        hidden = {str(each.get("name")): reveal(each.get("value")) for each in self.sensitive_parameters}
        data = {
            "script": text,
            "parameters": {**{name: reveal(value) for name, value in self.parameters.items()}, **hidden},
            "arguments": [reveal(each) for each in self.arguments],
            "chdir": self.chdir,
            "depth": self.depth,
            "error_action": self.error_action,
            "environment": dict(task.environment()),
        }
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        shown = task.masked(f"{lines[0]} ..." if len(lines) > 1 else lines[0])
        return Program((), None, shown, script=Probe("powershell", data), outcome=_outcome)


def _outcome(value: Mapping[str, Any]) -> ActionResult:
    values = dict(value)
    if values.pop("failed"):
        errors = values.get("error") or []
        reason = str((errors[-1].get("exception") or {}).get("message")) if errors else "the script set $Ansible.Failed"
        return ActionResult(Outcome.FAILED, {"msg": "Unhandled exception while executing module", **values}, reason)
    return ActionResult(Outcome.CHANGED if values["changed"] else Outcome.OK, values)
