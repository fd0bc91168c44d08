"""The figures of one model request, and the ways to send it while GPU and CPU load are sampled."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from remediation.connections.calls import REDIRECTS, Completed, Failed, Http, HttpReply, Probe, Reply, Run, redirect_failure
from remediation.facets.checked import SnapshotReader, checked
from remediation.facets.gpu import nvml
from remediation.facets.ollama.pull import backwards
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import GenerationFigures
from remediation.model.text.digits import is_whole
from remediation.model.text.json_text import load_json
from remediation.model.text.words import plural

_OK = 200
_NANO = 1e9
_EVERY = 0.2
_TICK = 0.03  # seconds; /proc/stat counts hundredths of a second
WHAT = "querying the model"
CUT_OFF = "cut off"
"""The ``done_reason`` of an answer that timed out or broke off. Its figures cover the tokens received until then."""


class Tokens:
    """The received part of a streamed answer with timing, so that an answer that times out still has figures."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.body = bytearray()
        self.first: float | None = None
        self.last = 0.0

    def on_chunk(self, piece: bytes) -> None:
        """Add a chunk of the body."""
        self.last = time.monotonic() - self._begun
        self.first = self.last if self.first is None else self.first
        self.body += piece


def so_far(
    body: bytes, first: float | None, last: float, gpu: Sequence[float] = (), cpu: Sequence[float] = ()
) -> GenerationFigures | None:
    """Return the figures of an answer that timed out or broke off, from the received tokens. None if there are none."""
    tokens = sum(1 for line in body.split(b"\n")[:-1] if _says_token(line))
    if not tokens or first is None:
        return None
    between = max(0.0, last - first) / (tokens - 1) if tokens > 1 else 0.0
    return GenerationFigures(
        tokens=tokens, total=last, load=0.0, prompt_eval=first, eval=between * tokens, first_token=first, done_reason=CUT_OFF,
        gpu_percent=_mean(gpu), cpu_percent=_mean(cpu),
    )  # fmt: skip


def _says_token(line: bytes) -> bool:
    try:
        value = load_json(line)
    except ValueError:
        return False
    return isinstance(value, dict) and bool(value.get("response") or value.get("thinking")) and not value.get("done")


@checked("generation")
class ProbeAsker(SnapshotReader):
    """Uses the ``generate`` probe, which samples in parallel on the host: the worker handles one call at a time."""

    def ask(self, url: str, body: Mapping[str, Any], *, timeout: float, sample: bool) -> GenerationFigures:
        """Send a streamed request and return its figures."""
        data = {"url": url, "body": json.dumps(body), "timeout": timeout, "sample": sample}
        value = self._snapshot.probe(Probe("generate", data, timeout=timeout + 15.0, writes=True), WHAT)
        from base64 import b64decode

        if value.get("cut"):
            found = so_far(
                b64decode(value["body"]),
                value["first_byte"],
                float(value["last_byte"]),
                value.get("gpu") or (),
                value.get("cpu") or (),
            )
            if found is not None:
                return found
            raise DeadlineExceeded(f"{WHAT} failed: no token within {timeout:g} s", host=self._snapshot.host)
        error = value.get("error")
        if error:
            self._snapshot.raise_for(Failed(str(error["kind"]), str(error["message"])), WHAT)
        if int(value["status"]) in REDIRECTS:
            call = Http("POST", url)
            self._snapshot.raise_for(redirect_failure(call, int(value["status"]), str(value.get("location") or "")), WHAT)
        answer = HttpReply(int(value["status"]), b64decode(value["body"]), float(value["elapsed"] or 0.0), value["first_byte"])
        return figures(answer, self._snapshot.host, value.get("gpu") or (), value.get("cpu") or ())


@checked("generation")
class PosixAsker(SnapshotReader):
    """Sends the request through the connection, which handles one call at a time. A background script on the host samples."""

    def ask(self, url: str, body: Mapping[str, Any], *, timeout: float, sample: bool) -> GenerationFigures:
        """Send a streamed request and return its figures. Sampling is started and stopped in the same exchange."""
        tokens = Tokens()
        request = _request(url, body, timeout, tokens)
        if not sample:
            return judge_answer(_answer(self._snapshot, self._snapshot.write(request)), tokens, self._snapshot.host)
        token = secrets.token_hex(8)
        start, stop = _watch("start", token, str(round(timeout) + 30)), _watch("stop", token)
        _, reply, seen = self._snapshot.write_all(start, request, stop)
        gpu, cpu = parse_loads(seen.text if isinstance(seen, Completed) and seen.rc == 0 else "")
        return judge_answer(_answer(self._snapshot, reply), tokens, self._snapshot.host, gpu, cpu)


def _watch(*words: str) -> Run:
    """Return the call of the sampling script. A failure of sampling does not prevent the request."""
    return Run(("sh", "-c", shell("watch"), "watch", *words), timeout=15.0, writes=True)


@checked("generation")
class LocalAsker(SnapshotReader):
    """On this machine, a thread samples NVML and ``/proc/stat`` during the request."""

    def ask(self, url: str, body: Mapping[str, Any], *, timeout: float, sample: bool) -> GenerationFigures:
        """Send a streamed request and return its figures."""
        tokens = Tokens()
        request = _request(url, body, timeout, tokens)
        if not sample:
            return judge_answer(_answer(self._snapshot, self._snapshot.write(request)), tokens, self._snapshot.host)
        sampler = Sampler(self._snapshot.host)
        sampler.start()
        try:
            answer = _answer(self._snapshot, self._snapshot.write(request))
        finally:
            sampler.end()
        return judge_answer(answer, tokens, self._snapshot.host, sampler.gpu, sampler.cpu)


def _request(url: str, body: Mapping[str, Any], timeout: float, tokens: Tokens) -> Http:
    return Http("POST", url, dict(body), timeout=timeout, writes=True, stream=True, on_chunk=tokens.on_chunk)


def _answer(snapshot: Snapshot, reply: Reply) -> HttpReply | DeadlineExceeded:
    try:
        return snapshot.http_reply(reply, WHAT)
    except DeadlineExceeded as late:
        return late


def judge_answer(
    answer: HttpReply | DeadlineExceeded, tokens: Tokens, host: str, gpu: Sequence[float] = (), cpu: Sequence[float] = ()
) -> GenerationFigures:  # fmt: skip
    """Return the figures of an answer. A timeout without tokens is raised."""
    if isinstance(answer, HttpReply):
        return figures(answer, host, gpu, cpu)
    found = so_far(bytes(tokens.body), tokens.first, tokens.last, gpu, cpu)
    if found is None:
        raise answer
    return found


class Sampler(threading.Thread):
    """Samples GPU and CPU load until `end` is called, at least once."""

    def __init__(self, host: str) -> None:
        super().__init__(daemon=True)
        self._host = host
        self._over = threading.Event()
        self.gpu: list[float] = []
        self.cpu: list[float] = []

    def run(self) -> None:
        """Sample."""
        before = cpu_times()
        while True:
            over = self._over.wait(_EVERY)
            busy = nvml.utilization(self._host)
            if busy is not None:
                self.gpu.append(float(busy))
            now = cpu_times()
            share = cpu_share(before, now)
            if share is None and over and not self.cpu and now is not None:  # the request took less than a tick of the clock
                time.sleep(_TICK)
                share = cpu_share(before, cpu_times())
            if share is not None:
                self.cpu.append(share)
            before = now
            if over:
                return

    def end(self) -> None:
        """Stop sampling."""
        self._over.set()
        self.join()


def cpu_times() -> tuple[int, int] | None:
    """Return the machine's idle and total CPU time in ticks, or None."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    ticks = [int(each) for each in first]
    return ticks[3] + ticks[4], sum(ticks[:8])


def cpu_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Return the CPU use between two readings in percent."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return 100.0 * (1.0 - (after[0] - before[0]) / (after[1] - before[1]))


def parse_loads(text: str) -> tuple[list[float], list[float]]:
    """Parse the output of ``watch.sh`` into GPU and CPU loads in percent. With several cards, the busiest counts."""
    gpu: list[float] = []
    cpu: list[float] = []
    before: tuple[int, int] | None = None
    fresh = True
    for line in text.splitlines():
        kind, *cells = line.split()
        if kind == "cpu":
            ticks = [int(each) for each in cells]
            now = (ticks[3] + ticks[4], sum(ticks[:8]))
            share = cpu_share(before, now)
            if share is not None:
                cpu.append(share)
            before, fresh = now, True
        elif kind == "gpu" and cells and is_whole(cells[0]):
            if fresh:
                gpu.append(float(cells[0]))
            else:
                gpu[-1] = max(gpu[-1], float(cells[0]))
            fresh = False
    return gpu, cpu


def figures(answer: HttpReply, host: str, gpu: Sequence[float] = (), cpu: Sequence[float] = ()) -> GenerationFigures:
    """Return the figures in the last line of a streamed answer, or of the received tokens if the answer broke off.

    Raises `CallFailed` if the server refused, or if no token was received.
    """
    last = _last(answer.body)
    error = last.get("error")
    if answer.status != _OK or error:
        words = str(error or f"HTTP {answer.status}")
        raise CallFailed(f"{WHAT} failed: {words}", host=host, status=answer.status, output=words)
    if not last.get("done"):  # Ollama ends an answer so that repeats one token more than 30 times
        found = so_far(answer.body, answer.first_byte, answer.elapsed, gpu, cpu)
        if found is None:
            raise CallFailed(f"{WHAT} failed: the answer broke off after {plural(_lines(answer.body), 'line')}", host=host)
        return found
    return GenerationFigures(
        tokens=int(last.get("eval_count") or 0),
        total=float(last.get("total_duration") or 0) / _NANO,
        load=float(last.get("load_duration") or 0) / _NANO,
        prompt_eval=float(last.get("prompt_eval_duration") or 0) / _NANO,
        eval=float(last.get("eval_duration") or 0) / _NANO,
        first_token=answer.first_byte,
        done_reason=str(last.get("done_reason") or ""),
        gpu_percent=_mean(gpu),
        cpu_percent=_mean(cpu),
    )


def _last(body: bytes) -> dict[str, Any]:
    """Return the last JSON object of a streamed answer."""
    for line in backwards(body):
        with suppress(ValueError):
            value = load_json(line)
            if isinstance(value, dict):
                return value
    return {}


def _lines(body: bytes) -> int:
    return body.count(b"\n") + (not body.endswith(b"\n") and bool(body))


def _mean(samples: Sequence[float]) -> float | None:
    return sum(samples) / len(samples) if samples else None
