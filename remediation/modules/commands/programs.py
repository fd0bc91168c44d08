"""``command``, ``shell``, ``raw``, ``script``, ``win_command`` and ``win_shell``: programs and shells.

Every call counts as a change; it passes the risk gate, is journaled, and is never repeated.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from remediation.model.errors import UsageError
from remediation.model.outcome import Outcome
from remediation.modules.commands.command_line import split_command
from remediation.modules.contract import Module, ModuleTask, Program, UnfitError
from remediation.modules.paths import is_absolute, not_found, path_exists
from remediation.modules.result import ActionResult, done_result, failed_result, skipped_result
from remediation.templating.yaml.secret import Secret, reveal

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_NO_ENVIRONMENT = "raw module does not support the environment keyword"
_NO_SHELL = "As of Ansible 2.4, the parameter 'executable' is no longer supported with the 'command' module."
_CHECKED = "Command would have run if not in check mode"
_POWERSHELL = (
    "-NoLogo",
    "-NoProfile",
    "-NonInteractive",
    "-ExecutionPolicy",
    "Bypass",
    "-InputFormat",
    "Text",
    "-OutputFormat",
    "Text",
)
_BOOTSTRAP = (
    "[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false\n"
    "$text = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String([Console]::In.ReadLine()))\n"
    ". ([ScriptBlock]::Create($text))"
)
"""Reads the script from the first line of stdin, because every user of a host can read command lines."""
_SCRIPT = (
    'folder=$(mktemp -d) || exit 1; trap \'rm -rf "$folder"\' EXIT; trap "exit 1" HUP INT TERM\n'
    'file="$folder/$1"; (umask 077; cat >"$file") && chmod 700 "$file" || exit 1\n'
    '[ -z "$2" ] || cd "$2" || exit\n'
    'if [ -n "$3" ]; then eval "$3 \\"\\$file\\" $4"; else eval "\\"\\$file\\" $4"; fi'
)
"""Writes a script that comes on stdin to a new folder, and runs it. Arguments: its name, folder, interpreter, arguments."""


_NO_CHECK_MODE = "remote module ({}) does not support check mode"


class ProgramModule(Module):
    """A module that runs one program unless ``creates`` or ``removes`` show that it need not."""

    free: ClassVar[str] = "cmd"
    words: ClassVar[tuple[str, ...]] = ("chdir", "creates", "removes", "stdin", "executable")

    creates: str | None = Field(None, description="path or pattern; if it exists, the task is skipped")
    removes: str | None = Field(None, description="path or pattern; if it does not exist, the task is skipped")
    chdir: str | None = Field(None, description="working directory")

    @abstractmethod
    def program(self, task: ModuleTask) -> Program:
        """Return the program to run."""

    def run(self, task: ModuleTask) -> ActionResult:
        """Run the program; check mode skips it."""
        unnecessary = self.unnecessary(task)
        if unnecessary:
            return self.left_out(unnecessary, task)
        program = self.program(task)
        if not task.check():
            return task.execute(program)
        task.foresee(program)
        return self.check_mode_result(program)

    def check_mode_result(self, program: Program) -> ActionResult:
        """Return the result of check mode."""
        values = {"cmd": program.cmd, "rc": 0, **_empty_result(), "msg": _CHECKED}
        if self.creates is not None or self.removes is not None:
            return done_result(changed=True, check=True, **values)
        return skipped_result("check mode: a command is not run", **values)

    def unnecessary(self, task: ModuleTask) -> str:
        """Return why the program need not run, "" if it must; the host is read only for ``creates`` and ``removes``."""
        if self.creates is not None and path_exists(task, self.creates, self.chdir):
            return f"{self.creates} exists"
        if self.removes is not None and not path_exists(task, self.removes, self.chdir):
            return f"{self.removes} does not exist"
        return ""

    def left_out(self, why: str, task: ModuleTask) -> ActionResult:
        """Return the result of a program that need not run."""
        message = f"skipped, since {why}"
        msg = f"{'Would' if task.check() else 'Did'} not run command since {_quote_path(why)}"
        return done_result(
            changed=False,
            **{
                **_empty_result(),
                "cmd": self.program(task).cmd,
                "rc": 0,
                "stdout": message,
                "stdout_lines": [message],
                "msg": msg,
            },
        )


_LINES = "_raw_params", "cmd", "argv"
"""Ansible's names of the parameters with the command line."""
_NO_LINE = f"one of the following is required: {', '.join(_LINES)}"


class WithInput(ProgramModule):
    """A program with standard input."""

    stdin: Any = Field(None, description="standard input; use it to pass secrets")
    stdin_add_newline: bool = Field(default=True, description="append a newline to stdin")
    strip_empty_ends: bool = Field(default=True, description="strip trailing newlines from the output")

    @field_validator("stdin")
    @classmethod
    def _text(cls, value: object) -> object:
        if not (value is None or isinstance(value, (str, Secret))):
            msg = "Input should be a valid string"
            raise ValueError(msg)
        return value

    def data(self) -> bytes:
        """Return the bytes of standard input."""
        if self.stdin is None:
            return b""
        text = str(reveal(self.stdin))
        return (text + ("\n" if self.stdin_add_newline else "")).encode()


class Command(WithInput):
    """Run a program, without a shell."""

    cmd: str | None = Field(None, description="command line, split by shell rules but not run by a shell")
    argv: list[Any] | None = Field(None, description="program and arguments", min_length=1)
    executable: str | None = Field(None, description="accepted for compatibility; there is no shell to choose")
    expand_argument_vars: bool = Field(default=True, description="replace $NAME in arguments from the environment")

    @field_validator("cmd", "argv", mode="before")
    @classmethod
    def _no_secret(cls, value: object) -> object:
        if any(isinstance(item, Secret) for item in (value if isinstance(value, list) else [value])):
            msg = "every user of the host can read a command line, so it must not contain secrets; pass them by stdin or environment"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _check_form(self) -> Command:
        if (self.cmd is None) == (self.argv is None):
            ansible_message = _NO_LINE if self.cmd is None else f"parameters are mutually exclusive: {'|'.join(_LINES)}"
            raise UnfitError("expected either a command line or argv", ansible_message)
        return self

    def run(self, task: ModuleTask) -> ActionResult:
        """Run the program; check mode skips it."""
        acted = super().run(task)
        if not self.executable:
            return acted
        return replace(acted, values={**acted.values, "warnings": [f"{_NO_SHELL} Not using '{self.executable}'."]})

    def program(self, task: ModuleTask) -> Program:
        """Return the program with its arguments."""
        words: Sequence[Any] = self.argv if self.argv is not None else _split(self.cmd or "", windows=task.windows)
        environment = task.environment()
        known = {**os.environ, **environment} if task.local else environment
        texts = [str(reveal(word)) for word in words]
        arguments = tuple(_expand_variables(text, known) for text in texts) if self.expand_argument_vars else tuple(texts)
        if not arguments:
            raise UsageError("command: no program given")
        shown = task.masked(shlex.join(map(str, words)))
        return Program(
            arguments, list(map(str, words)), shown, self.data(), self.chdir, environment, strip=self.strip_empty_ends
        )  # fmt: skip


class WinCommand(Command):
    """Run a program on a Windows host, without a shell; backslashes are kept."""

    output_encoding_override: str | None = Field(None, description="encoding of the output; only utf-8 is accepted")

    def left_out(self, why: str, task: ModuleTask) -> ActionResult:
        """Return the result of a program that need not run."""
        return skipped_result(f"skipped, since {why}", cmd=self.program(task).cmd, rc=0)

    def check_mode_result(self, program: Program) -> ActionResult:
        """Return the result of check mode; Ansible's module has none, also with ``creates``."""
        return skipped_result(_NO_CHECK_MODE.format("win_command"))

    @field_validator("output_encoding_override")
    @classmethod
    def _check_encoding(cls, value: str | None) -> str | None:
        if value is not None and value.lower().replace("-", "") != "utf8":
            msg = "only utf-8 is accepted; convert the output in the program"
            raise ValueError(msg)
        return value

    def run(self, task: ModuleTask) -> ActionResult:
        """Run the program; check mode skips it."""
        return super().run(task) if task.windows else wrong_platform("win_command", "command", task)


class Shell(WithInput):
    """Run a command line through the host's shell."""

    lacking: ClassVar[Mapping[str, str]] = {"cmd": _NO_LINE}

    cmd: str = Field(..., description="the command line or script")
    executable: str | None = Field(None, description="path of the shell; defaults to /bin/sh")

    @field_validator("cmd", mode="before")
    @classmethod
    def _no_secret(cls, value: object) -> object:
        return _without_secret(value)

    def run(self, task: ModuleTask) -> ActionResult:
        """Run the command line; check mode skips it."""
        return wrong_platform("shell", "win_shell", task) if task.windows else super().run(task)

    def program(self, task: ModuleTask) -> Program:
        """Return the shell with the command line."""
        argv = (self.executable or "/bin/sh", "-c", self.cmd)
        return Program(
            argv, self.cmd, task.masked(_line(self.cmd)), self.data(), self.chdir, task.environment(), strip=self.strip_empty_ends
        )  # fmt: skip


class Raw(Module):
    """Run a command line through the login's shell: on Windows PowerShell, elsewhere /bin/sh."""

    invoked: ClassVar[bool] = False

    free: ClassVar[str] = "free_form"
    words: ClassVar[tuple[str, ...]] = ("chdir", "creates", "executable", "removes", "stdin")
    """As in Ansible, none of these is part of the command line; all but ``executable`` are refused."""

    free_form: str = Field(..., description="the command line")
    executable: str | None = Field(None, description="path of the shell")

    @field_validator("free_form", mode="before")
    @classmethod
    def _no_secret(cls, value: object) -> object:
        return _without_secret(value)

    def run(self, task: ModuleTask) -> ActionResult:
        """Run the command line; check mode skips it."""
        shown = task.masked(_line(self.free_form))
        if task.windows:
            program = powershell_program(self.free_form, task, executable=self.executable)
        else:
            program = Program((self.executable or "/bin/sh", "-c", self.free_form), None, shown, strip=False)
        if task.check():
            task.foresee(program)
            return ActionResult(Outcome.SKIPPED, reason="check mode: a command is not run")
        acted = task.execute(program)
        warned = {"warnings": [_NO_ENVIRONMENT]} if task.environment() else {}
        return replace(acted, values={**acted.values, **warned})


class Script(ProgramModule):
    """Run a script of the playbook on the host."""

    invoked: ClassVar[bool] = False

    words: ClassVar[tuple[str, ...]] = ("chdir", "creates", "removes", "executable")

    lacking: ClassVar[Mapping[str, str]] = {"cmd": "one of the following is required: _raw_params, cmd"}

    cmd: str = Field(..., description="path of the script, searched for in files/, and its arguments")
    executable: str | None = Field(None, description="interpreter; defaults to the script's first line, on Windows PowerShell")
    decrypt: bool = Field(default=True, description="accepted for compatibility; vaulted files are decrypted")

    def left_out(self, why: str, task: ModuleTask) -> ActionResult:
        """Return the result of a script that need not run."""
        return skipped_result(
            f"{why}, matching {'creates' if self.creates and why == f'{self.creates} exists' else 'removes'} option"
        )

    def check_mode_result(self, program: Program) -> ActionResult:
        """Return the result of check mode."""
        del program
        if self.creates is not None or self.removes is not None:
            return done_result(changed=True, check=True)
        return skipped_result("Check mode is not supported for this task.")

    def program(self, task: ModuleTask) -> Program:
        """Return the shell that writes the script to a temporary folder and runs it."""
        name, _, rest = self.cmd.strip().partition(" ")
        if self.cmd.strip()[:1] in "'\"":
            name = shlex.split(self.cmd.strip())[0]
            rest = self.cmd.strip()[len(name) + 2 :].strip()
        found = self.source_of(name, task)
        if self.chdir and not is_absolute(self.chdir, windows=task.windows):
            raise UsageError(f"script: chdir {self.chdir} must be an absolute path")
        content = found.read_bytes()
        shown = task.masked(f"{found.name} {rest}".strip())
        if task.windows:
            if found.suffix.lower() != ".ps1" and self.executable is None:
                raise UsageError(f"script: {found.name} is not a PowerShell script", next_step="use a .ps1 file on Windows hosts")
            text = f"& {{\n{content.decode('utf-8-sig', errors='replace')}\n}} {rest}"
            return powershell_program(text, task, chdir=self.chdir, shown=shown, executable=self.executable)
        argv = ("sh", "-c", _SCRIPT, "script", found.name, self.chdir or "", self.executable or "", rest)
        return Program(argv, None, shown, content, None, task.environment(), strip=False)

    @staticmethod
    def source_of(name: str, task: ModuleTask) -> Path:
        """Return the path of a script of the playbook. Raises `UsageError`."""
        found = task.find(name, "files")
        if found is None:
            raise not_found(task, name, "files")
        return found

    @staticmethod
    def text_of(name: str, task: ModuleTask) -> str:
        """Return the text of a script of the playbook."""
        return Script.source_of(name, task).read_text(encoding="utf-8-sig", errors="replace") if name else ""


class WinShell(ProgramModule):
    """Run PowerShell commands on a Windows host."""

    cmd: str = Field(..., description="the PowerShell commands")
    stdin: Any = Field(None, description="standard input; use it to pass secrets")
    executable: str | None = Field(None, description="powershell (default), pwsh, or cmd")
    no_profile: bool = Field(default=False, description="accepted for compatibility; profiles are never loaded")
    output_encoding_override: str | None = Field(None, description="accepted for compatibility; the output is UTF-8")

    def left_out(self, why: str, task: ModuleTask) -> ActionResult:
        """Return the result of commands that need not run."""
        return skipped_result(f"skipped, since {why}", cmd=self.cmd, rc=0)

    def check_mode_result(self, program: Program) -> ActionResult:
        """Return the result of check mode; Ansible's module has none, also with ``creates``."""
        return skipped_result(_NO_CHECK_MODE.format("win_shell"))

    @field_validator("cmd", mode="before")
    @classmethod
    def _no_secret(cls, value: object) -> object:
        return reveal(value)  # it goes to the host on standard input

    def run(self, task: ModuleTask) -> ActionResult:
        """Run the commands; check mode skips them."""
        return super().run(task) if task.windows else wrong_platform("win_shell", "shell", task)

    def program(self, task: ModuleTask) -> Program:
        """Return PowerShell with the commands on its standard input."""
        data = b"" if self.stdin is None else str(reveal(self.stdin)).encode()
        return powershell_program(self.cmd, task, executable=self.executable, chdir=self.chdir, stdin=data)


def powershell_program(
    text: str, task: ModuleTask, *, executable: str | None = None, chdir: str | None = None, stdin: bytes = b"", shown: str = ""
) -> Program:
    """Return the program that runs PowerShell commands."""
    label = shown or task.masked(_line(text))
    shell = (executable or "powershell").strip()
    if shell.lower().removesuffix(".exe") in {"cmd", "%comspec%"}:
        if '"' in text:
            raise UsageError("win_shell: cmd.exe cannot be given double quotes", next_step="use win_command, or PowerShell")
        return Program(("cmd.exe", "/d", "/s", "/c", text), text, label, stdin, chdir, task.environment())
    encoded = base64.b64encode(_BOOTSTRAP.encode("utf-16-le")).decode()
    argv = (shell, *_POWERSHELL, "-EncodedCommand", encoded)
    data = base64.b64encode(text.encode()) + b"\r\n" + stdin
    return Program(argv, text, label, data, chdir, task.environment(), strip=False)


def wrong_platform(name: str, instead: str, task: ModuleTask) -> ActionResult:
    """Return the failure of a module that the host's system does not have."""
    kind = "a Windows host" if task.windows else "not a Windows host"
    return failed_result(f"{task.host} is {kind}, which {name} does not support", f"use {instead}")


def _empty_result() -> Mapping[str, Any]:
    empty: Mapping[str, Any] = {"stdout": "", "stderr": "", "stdout_lines": [], "stderr_lines": []}
    return {**empty, "start": None, "end": None, "delta": None}


def _quote_path(reason: str) -> str:
    """Return a reason with its path quoted, as in Ansible's message."""
    for end in (" does not exist", " exists"):
        if reason.endswith(end):
            return f"'{reason.removesuffix(end)}'{end}"
    return reason


def _line(text: str) -> str:
    """Return the first line of a script, for changes and plans."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return f"{lines[0]} ..." if len(lines) > 1 else "".join(lines)


def _split(text: str, *, windows: bool) -> list[str]:
    try:
        return split_command(text, windows=windows)
    except ValueError as error:
        raise UsageError(f"command: {error} in {text!r}") from None


def _expand_variables(word: str, known: Mapping[str, str]) -> str:
    """Return an argument with ``$NAME`` replaced from the environment; unknown names stay."""
    filled = _VARIABLE.sub(lambda match: known.get(match[1] or match[2], match[0]), word)
    home = known.get("HOME", "")
    return home + filled[1:] if home and (filled == "~" or filled.startswith("~/")) else filled


def _without_secret(value: object) -> object:
    if isinstance(value, Secret):
        msg = "every user of the host can read a command line, so it must not contain secrets; pass them by stdin or environment"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns ValueError into a sentence about the parameter
    return value
