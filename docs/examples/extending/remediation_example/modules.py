"""``example.site.banner``: a module of this distribution."""

from __future__ import annotations

from pydantic import Field

from remediation.model.change import StepCall
from remediation.modules.contract import Module, ModuleTask
from remediation.modules.files.placing import as_action
from remediation.modules.result import ActionResult


class Banner(Module):
    """The text that a login shows."""

    text: str = Field(..., description="the text")
    path: str = Field("/etc/motd", description="the file")

    def run(self, task: ModuleTask) -> ActionResult:
        """Reach the state; check mode, the difference and undo follow."""
        call = StepCall("file.managed", {"path": self.path, "content": f"{self.text}\n", "risk_level": str(task.risk())})
        result = task.reach(call)
        return as_action(result, {"banner": self.text, **result.values})
