"""A task's way from its options to an exit code, and that invoke's --dry never runs for real."""

from __future__ import annotations

import dataclasses
import errno
from typing import Any

import pytest
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit

from remediation.cli.task import INTERRUPTED, OptionTask, command_task, run_guarded
from remediation.model.errors import AuthenticationFailed, Blocked, CallFailed, RemediationError, Unreachable, UsageError
from remediation.model.plugin import option


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WithCheck:
    check: bool = option("Change nothing.", default=False)
    names: tuple[str, ...] = option("Names.", default=())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    name: str | None = option("A name.")


def context(**run: Any) -> Context:
    return Context(Config(overrides={"run": run}))


def recorder(options: type[Any], *, changes: bool = False) -> tuple[OptionTask, list[Any]]:
    seen: list[Any] = []

    @command_task(options, name="record", changes=changes)
    def record(given: Any) -> int:
        """Record."""
        seen.append(given)
        return 0

    return record, seen


def test_options_arrive_as_the_dataclass() -> None:
    task, seen = recorder(WithCheck)
    task(context(), check=False, names=["a", "b"])
    assert seen == [WithCheck(check=False, names=("a", "b"))]


def test_dry_means_check() -> None:
    task, seen = recorder(WithCheck)
    task(context(dry=True), check=False, names=[])
    assert seen == [WithCheck(check=True)]


def test_dry_refuses_what_changes_something_and_has_no_check(capsys: pytest.CaptureFixture[str]) -> None:
    task, seen = recorder(Bare, changes=True)
    with pytest.raises(Exit) as caught:
        task(context(dry=True), name=None)
    assert (caught.value.code, seen) == (1, [])
    assert "nothing was done" in capsys.readouterr().err


def test_dry_lets_a_query_run() -> None:
    task, seen = recorder(Bare)
    task(context(dry=True), name=None)
    assert seen == [Bare()]


@pytest.mark.parametrize("setting", [{"echo": True}, {"pty": True}, {"hide": "both"}, {"warn": True}])
def test_settings_of_invokes_runner_are_refused(setting: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    task, seen = recorder(Bare)
    with pytest.raises(Exit):
        task(context(**setting), name=None)
    assert not seen
    assert "is not supported" in capsys.readouterr().err


@pytest.mark.parametrize("values", [{"check": False, "names": ["--check"]}, {"check": False, "names": ["a", "-R"]}])
def test_a_value_that_is_an_option_was_swallowed(values: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    task, seen = recorder(WithCheck)
    with pytest.raises(Exit):
        task(context(), **values)
    assert not seen
    assert capsys.readouterr().err.startswith("--names took '-")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("u"), 1),
        (RemediationError("r"), 1),
        (CallFailed("c"), 2),
        (Unreachable("x"), 3),
        (AuthenticationFailed("a"), 3),
        (Blocked("b"), 5),
    ],
)
def test_errors_end_with_their_exit_code(error: RemediationError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise error

    assert run_guarded(fail) == code
    assert capsys.readouterr().err == f"{error}\n"


def test_an_interrupt_is_130() -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    assert run_guarded(interrupt) == INTERRUPTED


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a.yml"), "a.yml: Permission denied\n  next: check that file"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "the working folder cannot be read: No such file"),
        (OSError(errno.ENOSPC, "No space left on device"), "what this command writes cannot be written: No space left"),
        (OSError(errno.EIO, "Input/output error"), "an input or output failed: Input/output error\n  next: "),
    ],
)
def test_an_error_of_the_system_says_what_it_concerns(error: OSError, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise error

    assert run_guarded(fail) == 1
    assert capsys.readouterr().err.startswith(says)
