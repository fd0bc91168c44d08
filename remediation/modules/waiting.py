"""``pause``, ``wait_for_connection``, ``ping``, ``reboot`` and their Windows forms."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from remediation.connections.calls import Completed, Run
from remediation.model.change import StepCall
from remediation.model.errors import DeadlineExceeded, Unreachable
from remediation.model.outcome import Outcome
from remediation.modules.contract import LONGEST, Duration, Module, ModuleTask, UnfitError
from remediation.modules.files.placing import as_action
from remediation.modules.result import ActionResult, done_result, failed_result, skipped_result


class Pause(Module):
    """Wait for some time, or for the user."""

    invoked: ClassVar[bool] = False

    local: ClassVar[bool] = True

    seconds: int | None = Field(None, description="how long, at least one second", le=LONGEST)
    minutes: int | None = Field(None, description="how long", le=LONGEST // 60)
    prompt: str | None = Field(None, description="question to the user who started the run")
    echo: bool = Field(default=True, description="show what the user types")

    @field_validator("seconds", "minutes", mode="before")
    @classmethod
    def _whole(cls, given: Any, info: Any) -> Any:
        """Drop a fraction, as Ansible does."""
        try:
            return given if given is None else int(given)
        except (OverflowError, TypeError, ValueError) as error:
            kind = type(given).__name__
            ansible_message = f"argument '{info.field_name}' is of type {kind} and we were unable to convert to int: {error}"
            raise UnfitError(f"{given!r} is not a number of {info.field_name}", ansible_message) from None

    @model_validator(mode="after")
    def _check_time(self) -> Pause:
        if self.seconds is not None and self.minutes is not None:
            raise UnfitError("seconds and minutes are mutually exclusive", "parameters are mutually exclusive: minutes|seconds")
        return self

    def run(self, task: ModuleTask) -> ActionResult:
        """Wait."""
        start = datetime.now(timezone.utc).astimezone().replace(tzinfo=None)
        answer = ""
        seconds = self.seconds if self.seconds is not None else None if self.minutes is None else self.minutes * 60
        if seconds is not None:
            if not task.wait(max(1.0, seconds)):
                return failed_result("user requested abort!")
        else:
            answer = task.ask(self.prompt or "Press enter to continue, Ctrl+C to interrupt:", hide=not self.echo) or ""
        stop = datetime.now(timezone.utc).astimezone().replace(tzinfo=None)
        passed = (stop - start).total_seconds()
        unit, value = ("minutes", passed / 60) if self.minutes is not None else ("seconds", passed)
        return done_result(
            changed=False, start=str(start), stop=str(stop), delta=int(passed), echo=self.echo, user_input=answer, rc=0, stderr="",
            stdout=f"Paused for {round(value, 2)} {unit}",
        )  # fmt: skip


class Ping(Module):
    """Contact the host, and return a word."""

    data: str = Field("pong", description="the word; crash fails the task")

    def run(self, task: ModuleTask) -> ActionResult:
        """Run a program that does nothing."""
        if self.data == "crash":
            return failed_result("boom")
        reply = responds(task)
        return done_result(changed=False, ping=self.data) if reply else failed_result(f"{task.host} cannot run programs")


def responds(task: ModuleTask, timeout: float = 30.0) -> bool:
    """Return whether a program runs on the host. Raises `Unreachable`."""
    reply = task.read(Run(("hostname",) if task.windows else ("true",), timeout=timeout))[0]
    return isinstance(reply, Completed) and reply.rc == 0


class WaitForConnection(Module):
    """Wait until the host can be reached."""

    strange: ClassVar[str] = "Invalid options for {module}: {names}"
    invoked: ClassVar[bool] = False

    connect_timeout: Duration = Field(5, description="seconds for one attempt")
    delay: Duration = Field(0, description="seconds before the first attempt")
    sleep: Duration = Field(1, description="seconds between attempts")
    timeout: Duration = Field(600, description="seconds after which the task fails")

    def run(self, task: ModuleTask) -> ActionResult:
        """Contact the host until that succeeds; check mode does not wait."""
        if task.check():
            return skipped_result("check mode: no waiting")
        begun = task.clock.monotonic()
        if self.delay and not task.wait(self.delay):
            return failed_result("interrupted")
        while True:
            last = "no program ran"
            try:
                if responds(task, max(self.connect_timeout, 5.0)):
                    return done_result(changed=False, elapsed=int(task.clock.monotonic() - begun))
            except (Unreachable, DeadlineExceeded) as error:
                last = error.message
            elapsed = task.clock.monotonic() - begun
            if elapsed + self.sleep >= self.timeout or not task.wait(self.sleep):
                return failed_result(f"timed out waiting for ping module test: {last}", elapsed=int(elapsed))


class Reboot(Module):
    """Restart the host and wait until it is back."""

    invoked: ClassVar[bool] = False

    pre_reboot_delay: Duration = Field(0, description="seconds of warning for logged-in users")
    post_reboot_delay: Duration = Field(0, description="seconds to wait after the host is back")
    reboot_timeout: Duration = Field(600, description="seconds for the restart")
    connect_timeout: float | None = Field(None, description="accepted for compatibility")
    test_command: str | None = Field(None, description="command that must succeed after the restart")
    msg: str = Field("Reboot initiated by Ansible", description="accepted for compatibility; the message names this program")
    boot_time_command: str | None = Field(None, description="accepted for compatibility")
    reboot_command: str | None = Field(None, description="accepted for compatibility")
    search_paths: Any = Field(None, description="accepted for compatibility")

    def run(self, task: ModuleTask) -> ActionResult:
        """Reach a later boot time."""
        if task.local:
            return failed_result(
                "Running reboot with local connection would reboot the control node.", changed=False, elapsed=0, rebooted=False
            )
        begun = task.clock.monotonic()
        booted = task.reader().system.facts().booted
        given = {
            "docker": False,
            "delay": min(self.pre_reboot_delay, 600.0),
            **({"later_than": booted} if booted is not None else {}),
        }
        result = task.reach(StepCall("host.rebooted", given))
        if result.outcome is Outcome.CHANGED:
            if self.post_reboot_delay:
                task.wait(self.post_reboot_delay)
            if self.test_command is not None and not self._wait_for_test(task):
                return failed_result(f"{self.test_command} did not succeed after the restart", rebooted=True)
        elapsed = 0 if task.check() else int(task.clock.monotonic() - begun)
        return as_action(result, {"elapsed": elapsed, "rebooted": True})

    def _wait_for_test(self, task: ModuleTask) -> bool:
        """Run the test command until it succeeds or the time is over."""
        until = task.clock.monotonic() + self.reboot_timeout
        words = ("powershell", "-NoProfile", "-NonInteractive", "-Command") if task.windows else ("sh", "-c")
        while True:
            reply = task.read(Run((*words, self.test_command or "")))[0]
            if isinstance(reply, Completed) and reply.rc == 0:
                return True
            if task.clock.monotonic() > until or not task.wait(1.0):
                return False
