"""PowerShell and cmd.exe of a simulated host: they run single programs and refuse everything else."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from remediation_lab.programs import Call, Done, find
from remediation_lab.wire import Refusal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_WORD = re.compile(r"""'((?:[^']|'')*)'|"([^"]*)"|([^\s'"|;<>&()${}]+)""")
_VARIABLE = re.compile(r"%(\w+)%")
_KNOWN = {
    "programdata": "C:\\ProgramData",
    "programfiles": "C:\\Program Files",
    "systemroot": "C:\\Windows",
    "temp": "C:\\Users\\ops\\AppData\\Local\\Temp",
    "userprofile": "C:\\Users\\ops",
}
_SETTING = re.compile(r"^\$Ansible\.(Changed|Failed)\s*=\s*\$(true|false)$", re.IGNORECASE)
_QUOTED = re.compile(r"^(?:Write-Output\s+|Write-Host\s+)?('(?:[^']|'')*'|\"[^\"$]*\")$", re.IGNORECASE)


class Unknown(Exception):
    """A line that this PowerShell cannot run."""


def powershell(machine: Machine, call: Call) -> Done:
    """Run the script in the first line of stdin: lines that are programs, quoted texts or ``exit N``."""
    head, _, rest = call.stdin.partition(b"\n")
    try:
        text = base64.b64decode(head.strip(), validate=True).decode()
    except ValueError:
        return Done(1, b"", b"the script on standard input is no base64 text\r\n")
    out, err, rc = b"", b"", 0
    for line in _lines(text):
        if line.lower().startswith("exit"):
            return Done(int(line[4:].strip() or 0), out, err)
        try:
            done = run_line(machine, line, Call(call.argv, rest, call.cwd, call.env, call.deadline, call.session))
        except Unknown as unknown:
            return Done(1, out, f"{unknown}\r\n".encode())
        out, err, rc = out + done.stdout, err + done.stderr, done.rc
    return Done(1 if rc else 0, out, err)


def cmd(machine: Machine, call: Call) -> Done:
    """Run the program after ``/c``."""
    words = [each for each in call.argv[1:] if each.lower() not in {"/d", "/s", "/c"}]
    if words[:1] == ["echo"]:
        return Done(
            0, _VARIABLE.sub(lambda found: _KNOWN.get(found[1].lower(), found[0]), " ".join(words[1:])).encode() + b"\r\n"
        )
    try:
        return run_line(machine, " ".join(words), call)
    except Unknown as unknown:
        return Done(1, b"", f"{unknown}\r\n".encode())


def streams(machine: Machine, data: dict[str, Any]) -> dict[str, Any]:
    """Answer the probe ``powershell``."""
    value: dict[str, Any] = {
        "result": {}, "changed": True, "failed": False, "output": [], "error": [], "host_out": "", "host_err": "", "information": [],
        "warning": [], "verbose": [], "debug": [],
    }  # fmt: skip
    deadline = machine.clock.now() + float(data["timeout"])
    call = Call(("powershell",), b"", str(data.get("chdir") or "C:\\Users\\ops"), dict(data.get("environment") or {}), deadline)
    for line in _lines(str(data["script"])):
        setting = _SETTING.match(line)
        if setting is not None:
            value[setting[1].lower()] = setting[2].lower() == "true"
            continue
        try:
            done = run_line(machine, line, call)
        except Unknown as unknown:
            return {
                **value,
                "failed": True,
                "error": [{"output": str(unknown), "exception": {"message": str(unknown), "type": "System.Exception"}}],
            }
        if line.lower().startswith("write-host"):
            value["host_out"] += done.stdout.decode().replace("\r\n", "\n")
        else:
            value["output"] += done.stdout.decode(errors="replace").splitlines()
    return value


def run_line(machine: Machine, line: str, call: Call) -> Done:
    """Run one line: a quoted text, or a program with plain arguments. Raises `Unknown`."""
    text = _QUOTED.match(line)
    if text is not None:
        return Done(0, text[1][1:-1].replace("''", "'").encode() + b"\r\n")
    words = list(_words(line.removeprefix("& ")))
    try:
        program = find(words)
    except Refusal as refusal:
        raise Unknown(refusal.message) from None
    return program(machine, Call((*words,), call.stdin, call.cwd, call.env, call.deadline, call.session))


def _lines(text: str) -> Iterator[str]:
    for line in re.split(r"[\r\n]+|;(?=\s)", text):
        if (
            line.strip() and not line.strip().startswith("#") and line.strip() not in {"& {", "}"}
        ):  # a script block around all of it
            yield line.strip()


def _words(line: str) -> Iterator[str]:
    end = 0
    for found in _WORD.finditer(line):
        if line[end : found.start()].strip():
            break
        end = found.end()
        yield found[1].replace("''", "'") if found[1] is not None else found[2] if found[2] is not None else found[3]
    if line[end:].strip():
        raise Unknown(f"the lab's PowerShell runs single programs with plain arguments, and this is none: {line}")
