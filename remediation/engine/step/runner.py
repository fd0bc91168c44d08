"""What the flow calls to carry out steps and ladders; it knows no step by name."""

from __future__ import annotations

from remediation.engine.context import StepContext
from remediation.engine.ladder.ladder import Ladder, RunRung, climb
from remediation.engine.step.executor import execute
from remediation.model.change import StepCall
from remediation.model.outcome import Result


class DefaultStepRunner:
    """Runs one step or one ladder on one host; neither raises `RemediationError`."""

    def run_step(self, call: StepCall, context: StepContext) -> Result:
        """Reach the state that `call` names."""
        return execute(call, context)

    def run_ladder(self, ladder: Ladder, context: StepContext, run_rung: RunRung) -> Result:
        """Reach the ladder's goal; `run_rung` runs a rung's tasks as the play would."""
        return climb(ladder, context, run_rung)
