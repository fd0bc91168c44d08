"""A snapshot of a host: all reads go through it, are batched into exchanges, and are sent at most once.

A `Snapshot` belongs to one reader. Its answers stay valid as long as that reader is used; each new reader (`Host.reader`) starts
empty. A writer's snapshot keeps nothing after its first write, because it reads what it has just changed.

Snapshots for the same purpose read almost the same each time: a step observes after each change and until its state is stable.
The first exchange of a snapshot therefore also sends the calls of the previous snapshot for that purpose (`PrefetchHistory`).
Authors of steps read one value after the other, and a single exchange carries them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from remediation.connections.calls import (
    Call,
    Completed,
    Connection,
    Failed,
    FileContent,
    Http,
    HttpReply,
    Probe,
    ProbeReply,
    ReadFile,
    Reply,
    Run,
)
from remediation.connections.posix.sudo import refusal_cure
from remediation.facets.silence import Silence
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded, HostError, NotRecorded, OutcomeUnknown

T = TypeVar("T")
PrefetchHistory = dict[str, dict[str, Call]]
"""The calls of the last snapshot for each purpose, by their representation. The latest purpose is last."""

_CHEAP = 60.0
"""Calls with a longer timeout, in seconds, are sent only when their reply is needed."""
_FULL = ("no space left", "disk quota exceeded", "not enough space on the disk")
_HASHING = frozenset({"b2sum", "certutil.exe", "cksum", "md5sum", "sha1sum", "sha256sum", "sha512sum"})

_TAIL = 400
_UNREAD = (CallFailed, DeadlineExceeded, Blocked)


class Snapshot:
    """The replies of one snapshot. With ``changing``, nothing is kept after the first write.

    ``hints`` are shared by all snapshots of a host. They decide only which calls are sent together, never the answers. ``purpose``
    selects the prefetch history; without it, nothing is prefetched.
    """

    def __init__(
        self, connect: Callable[[], Connection], *, changing: bool = False, hints: dict[str, Any] | None = None, purpose: str = ""
    ) -> None:  # fmt: skip
        self._connect = connect
        self._changing = changing
        self.wrote = False
        self.hints: dict[str, Any] = {} if hints is None else hints
        self._silence = Silence(self.hints)
        self._replies: dict[str, Reply] = {}
        self._made: dict[str, Any] = {}
        self._purpose = purpose
        self._wanted: dict[str, Call] = {}
        self._expected: Mapping[str, Call] = {}
        self._sharing: dict[str, Snapshot] = {}
        """The snapshots that share the replies, by their purpose."""

    def fork(self, purpose: str) -> Snapshot:
        """Return the snapshot for another purpose that shares the replies."""
        if purpose not in self._sharing:
            other = Snapshot(self._connect, hints=self.hints, purpose=purpose)
            other._replies, other._silence, other._sharing = self._replies, self._silence, self._sharing
            self._sharing[purpose] = other
        return self._sharing[purpose]

    def preload(self, *calls: Call) -> None:
        """Let the first snapshot of any purpose that begins with some of `calls` send all of them."""
        history: PrefetchHistory = self.hints.setdefault("history", {})
        history.setdefault("", {repr(call): call for call in calls})

    @property
    def _keep(self) -> bool:
        return not (self._changing and self.wrote)

    @property
    def host(self) -> str:
        """The host's name, for error messages."""
        return self._connect().host

    @property
    def platform(self) -> str:
        """``windows`` or ``posix``."""
        return self._connect().platform

    def fetch(self, *calls: Call) -> list[Reply]:
        """Return one reply per call. Unknown ones are sent in one exchange. A `Failed` reply is returned, not raised."""
        known = self._replies if self._keep else {}
        missing = self._unanswered_calls(calls, known)
        wait = self._silence.later(missing)
        for later in (False, True):
            self._send({key: call for key, call in missing.items() if (key in wait) == later}, known)
        return [known[repr(call)] for call in calls]

    def carry_out(self, call: Call, send: Callable[[Call], Reply]) -> Reply:
        """Send a call that does not go over the connection, unless it has recently timed out; its reply is not kept."""
        known = self._silence.known_replies({"": call})
        return known[""] if known else self._silence.note(call, send(self._silence.brief(call)))

    def prefetch(self, *calls: Call) -> None:
        """Send calls whose replies are read later. Calls that wait for a server's first answer are sent with the next exchange."""
        if not self._keep:
            return
        missing = self._unanswered_calls(calls, self._replies)
        if not missing:
            return  # the calls that this purpose usually needs are still expected
        wait = self._silence.later(missing)
        self._send({key: call for key, call in missing.items() if key not in wait}, self._replies)
        self._expected = {key: call for key, call in missing.items() if key in wait}

    def _unanswered_calls(self, calls: Sequence[Call], known: Mapping[str, Reply]) -> dict[str, Call]:
        """Return the calls without a known reply, together with the prefetched ones."""
        requested = {repr(call): call for call in calls}
        if self._purpose:
            self._expect(requested)
        missing = {key: call for key, call in requested.items() if key not in known}
        if missing:
            missing.update((key, call) for key, call in self._expected.items() if key not in known)
            self._expected = {}
        return missing

    def _send(self, calls: Mapping[str, Call], known: dict[str, Reply]) -> None:
        known.update(self._silence.known_replies(calls))
        unanswered = {key: call for key, call in calls.items() if key not in known}
        replies = self._connect().exchange([self._silence.brief(call) for call in unanswered.values()]) if unanswered else []
        for (key, call), reply in zip(unanswered.items(), replies, strict=True):
            known[key] = self._silence.note(call, reply)

    def _expect(self, requested: Mapping[str, Call]) -> None:
        """Record the calls, and with the first ones choose the calls to prefetch.

        These are the calls of the last snapshot for this purpose, else those passed to `preload`, else those of the latest snapshot with
        the same beginning. Slow calls are left out, because they may not be needed.
        """
        history: PrefetchHistory = self.hints.setdefault("history", {})
        if not self._wanted:
            alike = (each for each in (history.get("", {}), *reversed(history.values())) if requested.keys() <= each.keys())
            expected = history.pop(self._purpose, {}) or next(alike, {})
            self._expected = {key: call for key, call in expected.items() if is_cheap(call)}
            history[self._purpose] = self._wanted
        self._wanted.update(requested)

    def has_reply(self, call: Call) -> bool:
        """Return whether `call` was sent in this snapshot."""
        return repr(call) in self._replies

    def memoize(self, name: str, make: Callable[[], T]) -> T:
        """Return the first result of `make` in this snapshot. An error is stored and raised again."""
        if not self._keep:
            return make()
        if name not in self._made:
            try:
                self._made[name] = make()
            except HostError as error:
                self._made[name] = error
        found = self._made[name]
        if isinstance(found, HostError):
            raise found
        return found  # type: ignore[no-any-return]  # the result stored under this name has the type that `make` returns

    def write(self, call: Call) -> Reply:
        """Send a call that changes the host, alone in its exchange. All known replies are discarded, even if it fails."""
        return self.write_all(call)[0]

    def write_all(self, *calls: Call) -> list[Reply]:
        """Send calls that change the host in one exchange, in this order, even if earlier ones fail."""
        self.invalidate()
        self.wrote = True
        marked = [call if call.writes else replace(call, writes=True) for call in calls]
        replies = self._connect().exchange(marked)
        for call, reply in zip(marked, replies, strict=True):
            self._silence.wrote(call, reply)
        return list(replies)

    def invalidate(self) -> None:
        """Discard all replies."""
        self._silence.forget()
        self._replies.clear()
        self._made.clear()

    def run(self, call: Run, what: str, *, codes: Sequence[int] = (0,), next_step: str = "") -> Completed:
        """Run a program. Raises if it could not run or exited with an unexpected code. `what` starts the error message."""
        return self.completed(self.write(call) if call.writes else self.fetch(call)[0], what, codes=codes, next_step=next_step)

    def completed(self, reply: Reply, what: str, *, codes: Sequence[int] = (0,), next_step: str = "") -> Completed:
        """Check the reply of a `Run`. Raises like `run`."""
        if isinstance(reply, Failed):
            self.raise_for(reply, what, next_step=next_step)
        if not isinstance(reply, Completed):
            raise self.unexpected_reply(what, reply)
        if reply.rc not in codes:
            message = last_error_line(reply)
            raise CallFailed(
                f"{what} failed: {message or f'exit code {reply.rc}'}",
                host=self.host,
                next_step=next_step,
                status=reply.rc,
                output=message,
            )
        return reply

    def probe(self, call: Probe, what: str) -> Any:
        """Return a probe's value. Raises if it could not run."""
        reply = self.write(call) if call.writes else self.fetch(call)[0]
        if isinstance(reply, Failed):
            self.raise_for(reply, what)
        if not isinstance(reply, ProbeReply):
            raise self.unexpected_reply(what, reply)
        return reply.value

    def http(self, call: Http, what: str, *, next_step: str = "") -> HttpReply:
        """Return an HTTP answer with any status. Raises if there is none."""
        return self.http_reply(self.write(call) if call.writes else self.fetch(call)[0], what, next_step=next_step)

    def http_reply(self, reply: Reply, what: str, *, next_step: str = "") -> HttpReply:
        """Check the reply of an `Http`. Raises like `http`."""
        if isinstance(reply, Failed):
            self.raise_for(reply, what, next_step=next_step)
        if not isinstance(reply, HttpReply):
            raise self.unexpected_reply(what, reply)
        return reply

    def content(self, call: ReadFile) -> bytes | None:
        """Return a file's content, or None if it does not exist. Raises if it cannot be read."""
        reply = self.fetch(call)[0]
        if isinstance(reply, Failed):
            if reply.kind == "not-found":
                return None
            self.raise_for(reply, f"reading {call.path}")
        if not isinstance(reply, FileContent):
            raise self.unexpected_reply(f"reading {call.path}", reply)
        return None if reply.missing else reply.content

    def raise_for(self, reply: Failed, what: str, *, next_step: str = "") -> NoReturn:
        """Raise the error for a failed reply."""
        message = f"{what} failed: {reply.message}"
        if reply.kind == "timeout":
            raise DeadlineExceeded(message, host=self.host, next_step=next_step)
        if reply.kind == "uncertain":
            raise OutcomeUnknown(
                message, host=self.host, next_step=next_step or "check the state of the host before repeating anything"
            )
        if reply.kind == "not-recorded":
            raise NotRecorded(message, host=self.host, next_step=next_step)
        if reply.kind == "redirected":
            next_step = "if that is the intended server, set its address in the inventory (endpoint, or registry for a registry)"
        raise CallFailed(message, host=self.host, next_step=refusal_cure(message) or next_step)

    def raise_for_file(self, reply: Failed, path: str) -> NoReturn:
        """Raise the error for a file that could not be written."""
        self.raise_for(reply, f"writing {path}", next_step=_for_a_file(reply.message, path))

    def unexpected_reply(self, what: str, reply: Reply) -> CallFailed:
        """Return the error for a reply of the wrong type."""
        return CallFailed(f"{what} failed: unexpected reply {type(reply).__name__}", host=self.host)


def _for_a_file(message: str, path: str) -> str:
    """Return the next step for a file that could not be written, by the system's message (also of Windows)."""
    return disk_advice(message, path) or "check the folder and the login's rights to it"


def disk_advice(message: str, path: str) -> str:
    """Return the next step if the system's message says that the disk of `path` is full or read-only, else ""."""
    low, folder = message.lower(), re.split(r"[\\/][^\\/]*$", path)[0] or path
    if any(each in low for each in _FULL):
        return f"free space on the disk of {folder} (df -h, df -i), then run this again"
    if "read-only file system" in low:
        return f"the file system of {folder} is read-only: remount it for writing, or declare the change where this system builds its files"
    return ""


def is_cheap(call: Call) -> bool:
    """Return whether a call may be prefetched: it only reads and is fast."""
    if call.writes or call.timeout > _CHEAP:
        return False
    if isinstance(call, Run):
        return not any(word.rsplit("/", 1)[-1] in _HASHING for word in call.argv)
    return not (isinstance(call, Http) and call.stream)


def attempt(read: Callable[[], T]) -> T | None:
    """Return what `read` returns, or None if the host refused or did not answer that call."""
    try:
        return read()
    except _UNREAD:
        return None


def last_error_line(done: Completed) -> str:
    """Return the end of a program's error output (else of its output) as one line."""
    text = done.stderr.decode("utf-8", errors="replace").strip() or done.text.strip()
    return " ".join(text[-_TAIL:].split())
