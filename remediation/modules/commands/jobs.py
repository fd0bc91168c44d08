"""Programs that run in the background of a POSIX host (``async`` with ``poll: 0``), and ``async_status``."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, ClassVar, Literal

from pydantic import Field

from remediation.connections.calls import Completed, Run
from remediation.model.outcome import Outcome
from remediation.modules.contract import Module, ModuleTask, Program
from remediation.modules.result import ActionResult, done_result, failed_result

_FOLDER = "dir=${ANSIBLE_ASYNC_DIR:-$HOME/.ansible_async}\n"

_RUN = """
job=$1; limit=$2; shift 2
exec 3<"$job.in"; rm -f "$job.in"
begun=$(date +%s)
if [ "$limit" -gt 0 ] && command -v timeout >/dev/null 2>&1; then set -- timeout -k 5 "$limit" "$@"; else limit=0; fi
"$@" <&3 3<&- >"$job.out" 2>"$job.err"
rc=$?; ended=$(date +%s)
[ "$limit" -gt 0 ] && [ "$rc" = 124 ] && [ $((ended - begun)) -ge "$limit" ] && rc=late
printf '%s %s %s\\n' "$rc" "$begun" "$ended" >"$job.tmp" && mv "$job.tmp" "$job.rc"
"""
"""Runs the arguments after the job's files and its limit; the file ``rc`` appears when they have ended."""

_START = (
    _FOLDER
    + """old=$(umask); umask 077; mkdir -p "$dir" || exit 1
job=$dir/j$1.$$; limit=$2; text=$3; run=$4; shift 4
cat >"$job.in" && printf %s "$text" >"$job.cmd" && : >"$job.out" && : >"$job.err" || exit 1
umask "$old"; trap '' HUP
$(command -v setsid) sh -c "$run" job "$job" "$limit" "$@" </dev/null >/dev/null 2>&1 &
printf '%s\\n' "$job"
"""
)

_STATUS = (
    _FOLDER
    + """job=$dir/$1
if [ "$2" = cleanup ]; then rm -f "$job".cmd "$job".out "$job".err "$job".rc; echo "erased 0 0 0 0 0 0 $job"; exit; fi
[ -e "$job.cmd" ] || { echo "missing 0 0 0 0 0 0 $job"; exit; }
[ -e "$job.rc" ] || { echo "running 0 0 0 0 0 0 $job"; exit; }
read -r rc begun ended <"$job.rc"
echo "done $rc $begun $ended $(($(wc -c <"$job.cmd"))) $(($(wc -c <"$job.out"))) $(($(wc -c <"$job.err"))) $job"
cat "$job.cmd" "$job.out" "$job.err"
"""
)


def background_program(program: Program, seconds: float) -> Program:
    """Return the program that starts `program` in the background, with a limit of `seconds`, and returns the job's name."""
    text = json.dumps({"cmd": program.cmd, "strip": program.strip})
    words = ("sh", "-c", _START, "async", str(secrets.randbelow(10**12)), str(int(seconds)), text, _RUN)
    return replace(
        program, argv=(*words, *program.argv), cmd=None, shown=f"{program.shown} (in the background)", outcome=_start_result
    )  # fmt: skip


def _start_result(reply: Completed) -> ActionResult:
    path = reply.text.strip()
    if reply.rc != 0 or not path:
        message = reply.stderr.decode(errors="replace").strip()
        return failed_result(f"the job could not be started: {message or f'exit code {reply.rc}'}")
    return done_result(
        changed=True, started=True, finished=False, ansible_job_id=path.rpartition("/")[2], results_file=path
    )  # fmt: skip


class AsyncStatus(Module):
    """Read the state of a program that runs in the background."""

    invoked: ClassVar[bool] = False

    jid: str = Field(..., description="the job: ansible_job_id of the task that started it")
    mode: Literal["status", "cleanup"] = Field("status", description="read the job's state, or remove its files")

    def run(self, task: ModuleTask) -> ActionResult:
        """Read the job's state."""
        if task.windows:
            return failed_result(f"{task.host} is a Windows host, which async_status does not support")
        if not re.fullmatch(r"[\w.-]+", self.jid):
            return _missing_job(self.jid, "")
        argv = ("sh", "-c", _STATUS, "async", self.jid, self.mode)
        reply = task.read(Run(argv, env=task.environment()))[0]
        if not isinstance(reply, Completed) or reply.rc != 0:
            return failed_result(f"the state of the job {self.jid} cannot be read")
        head, _, rest = reply.stdout.partition(b"\n")
        state, rc, begun, ended, *sizes, path = head.decode(errors="replace").split(" ", 7)
        values: dict[str, Any] = {**_NOTHING, "started": True, "ansible_job_id": self.jid, "results_file": path}
        if state == "missing":
            return _missing_job(self.jid, path)
        if state == "running":
            return done_result(changed=False, **values, finished=False)
        if state == "erased":
            return done_result(changed=False, **_NOTHING, started=False, finished=False, ansible_job_id=self.jid, erased=path)
        if rc == "late":
            return failed_result("Timeout exceeded", **values, finished=True)
        return _finished_result(
            int(rc), (int(begun), int(ended)), rest, [int(size) for size in sizes], {**values, "finished": True}
        )


def _finished_result(
    rc: int, times: tuple[int, int], content: bytes, sizes: list[int], values: Mapping[str, Any]
) -> ActionResult:
    """Return the result of a job that ended, from the content of its files."""
    known = json.loads(content[: sizes[0]])
    texts = (content[sizes[0] : sizes[0] + sizes[1]], content[sizes[0] + sizes[1] : sum(sizes)])
    out, err = (text.decode(errors="replace") for text in texts)
    if known["strip"]:
        out, err = out.rstrip("\r\n"), err.rstrip("\r\n")
    start, end = (datetime.fromtimestamp(moment, tz=timezone.utc).replace(tzinfo=None) for moment in times)
    output = {
        "cmd": known["cmd"], "rc": rc, "stdout": out, "stderr": err, "stdout_lines": out.splitlines(), "stderr_lines": err.splitlines(),
        "start": str(start), "end": str(end), "delta": str(end - start),
    }  # fmt: skip
    if rc == 0:
        return done_result(changed=True, **{**values, **output, "msg": ""})
    return ActionResult(
        Outcome.FAILED, {**values, **output, "changed": True, "msg": "non-zero return code"}, f"the job ended with exit code {rc}"
    )  # fmt: skip


def _missing_job(jid: str, path: str) -> ActionResult:
    return failed_result(
        "could not find job", "check ansible_job_id; jobs are those of the login that started them",
        **_NOTHING, started=True, finished=True, ansible_job_id=jid, results_file=path,
    )  # fmt: skip


_NOTHING: Mapping[str, Any] = {"stdout": "", "stderr": "", "stdout_lines": [], "stderr_lines": []}
