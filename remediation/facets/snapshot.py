"""One look at a host: every read goes through here, several in one exchange, each sent at most once.

A `Snapshot` belongs to one reader. What it was told stays true for as long as that reader is in use; the next look starts with
nothing (`Host.reader` makes one each time). A writer's look keeps nothing once it has written, because it reads what it has
just changed.

Looks at a host for the same purpose ask much the same again and again: a step looks after each change, and until its state
has settled. So the first question of a look takes along what the last look for that purpose asked (`PrefetchHistory`): a step's author
reads one thing after the other, and one exchange carries them all.
"""

from __future__ import annotations

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
    WriteFile,
)
from remediation.facets.silence import Silence
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded, HostError, NotRecorded, OutcomeUnknown

T = TypeVar("T")
PrefetchHistory = dict[str, dict[str, Call]]
"""What the last look for each purpose asked, by the call's words; the latest purpose stands last."""

_CHEAP = 60.0
"""A call that may take longer, in seconds, is sent only when its reply is needed."""
_HASHING = frozenset({"b2sum", "certutil.exe", "cksum", "md5sum", "sha1sum", "sha256sum", "sha512sum"})

_TAIL = 400
_UNREAD = (CallFailed, DeadlineExceeded, Blocked)


class Snapshot:
    """The replies of one look. With ``changing`` nothing is remembered after the first write.

    ``hints`` are shared by all looks at a host: what an earlier one found decides only what is asked in the same exchange, never
    what is answered. ``purpose`` says for what is looked; without one nothing is foreseen.
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

    def also(self, purpose: str) -> Snapshot:
        """Return this same look, its replies shared, for another purpose."""
        other = Snapshot(self._connect, hints=self.hints, purpose=purpose)
        other._replies, other._silence = self._replies, self._silence
        return other

    def preload(self, *calls: Call) -> None:
        """Let the first look for any purpose that begins with some of `calls` ask all of them."""
        history: PrefetchHistory = self.hints.setdefault("habits", {})
        history.setdefault("", {repr(call): call for call in calls})

    @property
    def _keep(self) -> bool:
        return not (self._changing and self.wrote)

    @property
    def host(self) -> str:
        """The host's name, for errors."""
        return self._connect().host

    @property
    def platform(self) -> str:
        """``windows`` or ``posix``."""
        return self._connect().platform

    def ask(self, *calls: Call) -> list[Reply]:
        """Return one reply per call; those not known yet travel in one exchange. A `Failed` reply is returned, not raised."""
        known = self._replies if self._keep else {}
        missing = self._missing(calls, known)
        wait = self._silence.later(missing)
        for later in (False, True):
            self._send({key: call for key, call in missing.items() if (key in wait) == later}, known)
        return [known[repr(call)] for call in calls]

    def ahead(self, *calls: Call) -> None:
        """Send calls whose replies are read later; what waits for a server's first answer travels with the next exchange."""
        if not self._keep:
            return
        missing = self._missing(calls, self._replies)
        wait = self._silence.later(missing)
        self._send({key: call for key, call in missing.items() if key not in wait}, self._replies)
        self._expected = {key: call for key, call in missing.items() if key in wait}

    def _missing(self, calls: Sequence[Call], known: Mapping[str, Reply]) -> dict[str, Call]:
        """Return what of `calls` is not known, and with it what is expected to be asked next."""
        asked = {repr(call): call for call in calls}
        if self._purpose:
            self._expect(asked)
        missing = {key: call for key, call in asked.items() if key not in known}
        if missing:
            missing.update((key, call) for key, call in self._expected.items() if key not in known)
            self._expected = {}
        return missing

    def _send(self, calls: Mapping[str, Call], known: dict[str, Reply]) -> None:
        known.update(self._silence.known(calls))
        asked = {key: call for key, call in calls.items() if key not in known}
        replies = self._connect().exchange([self._silence.brief(call) for call in asked.values()]) if asked else []
        for (key, call), reply in zip(asked.items(), replies, strict=True):
            known[key] = self._silence.note(call, reply)

    def _expect(self, asked: Mapping[str, Call]) -> None:
        """Remember the questions, and with the first find what the next ones will be.

        They are those of the last look for this purpose, else what was foreseen, else those of the latest look that began alike;
        what may take long is left out, since this look may not need it.
        """
        history: PrefetchHistory = self.hints.setdefault("habits", {})
        if not self._wanted:
            alike = (each for each in (history.get("", {}), *reversed(history.values())) if asked.keys() <= each.keys())
            expected = history.pop(self._purpose, {}) or next(alike, {})
            self._expected = {key: call for key, call in expected.items() if is_cheap(call)}
            history[self._purpose] = self._wanted
        self._wanted.update(asked)

    def knows(self, call: Call) -> bool:
        """Return whether `call` was asked in this look."""
        return repr(call) in self._replies

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returned the first time in this look; what it raises is raised again without asking anew."""
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
        return found  # type: ignore[no-any-return]  # whatever `make` returned under that name

    def write(self, call: Call) -> Reply:
        """Send a call that changes the host, by itself; what was known before is forgotten, whatever becomes of it."""
        self.forget()
        self.wrote = True
        marked = call if call.writes else replace(call, writes=True)
        reply = self._connect().exchange([marked])[0]
        self._silence.wrote(marked, reply)
        return reply

    def forget(self) -> None:
        """Start anew."""
        self._silence.forget()
        self._replies.clear()
        self._made.clear()

    def run(self, call: Run, what: str, *, codes: Sequence[int] = (0,), next_step: str = "") -> Completed:
        """Return a program's end; raises when it did not run or ended with another code. `what` begins the error's sentence."""
        return self.ended(self.write(call) if call.writes else self.ask(call)[0], what, codes=codes, next_step=next_step)

    def ended(self, reply: Reply, what: str, *, codes: Sequence[int] = (0,), next_step: str = "") -> Completed:
        """Return the reply of a `Run`; raises as `run`."""
        if isinstance(reply, Failed):
            self.refuse(reply, what, next_step=next_step)
        if not isinstance(reply, Completed):
            raise self.odd(what, reply)
        if reply.rc not in codes:
            said = last_words(reply)
            raise CallFailed(
                f"{what} failed: {said or f'it ended with {reply.rc}'}",
                host=self.host,
                next_step=next_step,
                status=reply.rc,
                output=said,
            )
        return reply

    def probe(self, call: Probe, what: str) -> Any:
        """Return a probe's value; raises when it could not run."""
        reply = self.write(call) if call.writes else self.ask(call)[0]
        if isinstance(reply, Failed):
            self.refuse(reply, what)
        if not isinstance(reply, ProbeReply):
            raise self.odd(what, reply)
        return reply.value

    def http(self, call: Http, what: str, *, next_step: str = "") -> HttpReply:
        """Return an HTTP answer, whatever its status; raises when there is none."""
        reply = self.write(call) if call.writes else self.ask(call)[0]
        if isinstance(reply, Failed):
            self.refuse(reply, what, next_step=next_step)
        if not isinstance(reply, HttpReply):
            raise self.odd(what, reply)
        return reply

    def content(self, call: ReadFile) -> bytes | None:
        """Return a file's bytes, None when there is none; raises when it cannot be read."""
        reply = self.ask(call)[0]
        if isinstance(reply, Failed):
            if reply.kind == "not-found":
                return None
            self.refuse(reply, f"reading {call.path}")
        if not isinstance(reply, FileContent):
            raise self.odd(f"reading {call.path}", reply)
        return None if reply.missing else reply.content

    def put(self, call: WriteFile) -> None:
        """Write a file; raises when it could not be written."""
        reply = self.write(call)
        if isinstance(reply, Failed):
            self.refuse(reply, f"writing {call.path}", next_step="check the folder and the login's rights to it")

    def refuse(self, reply: Failed, what: str, *, next_step: str = "") -> NoReturn:
        """Raise the error that a failed reply means."""
        message = f"{what} failed: {reply.message}"
        if reply.kind == "timeout":
            raise DeadlineExceeded(message, host=self.host, next_step=next_step)
        if reply.kind == "uncertain":
            raise OutcomeUnknown(
                message, host=self.host, next_step=next_step or "look at the host again before anything is repeated"
            )
        if reply.kind == "not-recorded":
            raise NotRecorded(message, host=self.host, next_step=next_step)
        if reply.kind == "redirected":
            next_step = "if that is the server you mean, name its address in the inventory (endpoint, or registry for a registry)"
        raise CallFailed(message, host=self.host, next_step=next_step)

    def odd(self, what: str, reply: Reply) -> CallFailed:
        """Return the error for an answer of another kind than the call's."""
        return CallFailed(f"{what} failed: the connection answered with a {type(reply).__name__}", host=self.host)


def is_cheap(call: Call) -> bool:
    """Return whether a call may be sent before it is known that its reply is needed: it only reads, and is soon done."""
    if call.writes or call.timeout > _CHEAP:
        return False
    if isinstance(call, Run):
        return not any(word.rsplit("/", 1)[-1] in _HASHING for word in call.argv)
    return not (isinstance(call, Http) and call.stream)


def attempt(read: Callable[[], T]) -> T | None:
    """Return what `read` returns, None where the host refused or did not answer that one call."""
    try:
        return read()
    except _UNREAD:
        return None


def last_words(done: Completed) -> str:
    """Return what a program said last, one line, for an error's sentence."""
    text = done.stderr.decode("utf-8", errors="replace").strip() or done.text.strip()
    return " ".join(text[-_TAIL:].split())
