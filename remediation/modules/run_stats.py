"""``set_stats``: values that a playbook returns for the run."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from remediation.modules.contract import Module, ModuleTask, UnfitError
from remediation.modules.result import ActionResult, done_result


class SetStats(Module):
    """Return values for the run. They are in the task's result, which ``--json`` prints."""

    invoked: ClassVar[bool] = False
    local: ClassVar[bool] = True

    data: dict[str, Any] = Field(default_factory=dict, description="the values, by name")
    per_host: bool = Field(default=False, description="the values belong to the host")
    aggregate: bool = Field(default=True, description="values of several hosts are combined")

    @field_validator("data")
    @classmethod
    def _names(cls, given: dict[str, Any]) -> dict[str, Any]:
        wrong = next((name for name in given if not name.isidentifier()), None)
        if wrong is not None:
            raise UnfitError(f"{wrong!r} is not a valid variable name", f"Invalid variable name '{wrong}'.")
        return given

    def run(self, task: ModuleTask) -> ActionResult:
        """Return the values."""
        del task
        stats = {"data": self.data, "per_host": self.per_host, "aggregate": self.aggregate}
        return done_result(changed=False, ansible_stats=stats)
