"""HTTP requests that a simulated host makes: its own loopback reaches what its containers publish, nothing else answers."""

from __future__ import annotations

import base64
import gzip
from typing import Any
from urllib.parse import urlsplit

from remediation_lab.ollama import registry
from remediation_lab.ollama.answers import Answer, NoAnswer
from remediation_lab.ollama.loader import Pace
from remediation_lab.ollama.server import OllamaServer
from remediation_lab.wire import OnChunk, Refusal
from remediation_lab.world.clock import MachineClock
from remediation_lab.world.serving import Serving

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_SAMPLE_EVERY = 0.25
_SMI_STARTS = 0.2
_IDLE_CPU = 6
_BUSY_CPU = 91
_PACE = Pace()
_REGISTRY = "https://registry.ollama.ai/"
_INTERNET_SECONDS = 0.15


class Network:
    """The HTTP clients of one machine."""

    def __init__(self, serving: Serving, clock: MachineClock) -> None:
        self._serving, self._clock = serving, clock

    def request(  # the probe's fields, always given by name
        self,
        *,
        method: str,
        url: str,
        body: str | None,
        timeout: float,
        silence: float | None = None,
        on_chunk: OnChunk | None = None,
    ) -> dict[str, Any]:
        """Make one request and return the `http` probe's value; raises Refusal (refused, timeout, error).

        `on_chunk` gets each piece of the body as it comes, in base64; after `silence` seconds without one the request is given up.
        """
        began = self._clock.now()
        if url.startswith(_REGISTRY) and method == "GET":
            return self._registry(url, began)
        server, path = self._server(url)
        between = self._between(url, path)
        if between:
            return self._intercepted(between, url, began, silence or timeout)
        with self._clock.hurried():
            try:
                answer = server.handle(method, path, (body or "").encode(), "172.18.0.1")
                chunks, first = self._read(answer, began, timeout, url, on_chunk, silence=silence)
            except NoAnswer:
                self._clock.sleep(began + min(timeout, silence or timeout) - self._clock.now())
                raise (_late(url, timeout) if silence is None or silence >= timeout else _silent(silence)) from None
        self._serving.keep()
        return {
            "status": answer.status,
            "body": base64.b64encode(b"".join(chunks)).decode(),
            "elapsed": self._clock.now() - began,
            "first_byte": first,
        }

    def reached(self, method: str, url: str) -> None:
        """Raise Refusal where a request would find nothing that listens."""
        if url.startswith(_REGISTRY) and method == "GET":
            if not self._serving.state.online:
                raise Refusal("unknown-name", f"The remote name could not be resolved: '{urlsplit(url).hostname}'")
            return
        self._server(url)

    def served(self, method: str, url: str, body: bytes) -> Answer:
        """Return the answer that a client of this machine gets, chunk by chunk; NoAnswer for none, Refusal for a broken connection."""
        if url.startswith(_REGISTRY) and method == "GET":
            self._clock.sleep(_INTERNET_SECONDS)
            status, content = registry.answer(urlsplit(url).path)
            return Answer(status, {"Content-Length": str(len(content))}, iter((content,)))
        server, path = self._server(url)
        kind, _, detail = self._between(url, path).partition(" ")
        if kind == "reset":
            raise Refusal("error", "the connection is reset")
        if kind == "hang":
            raise NoAnswer
        if kind == "redirect":
            return Answer(302, {"Location": detail, "Content-Length": "0"})
        if kind == "gzip":
            content = gzip.compress(detail.encode())
            return Answer(200, {"Content-Encoding": "gzip", "Content-Length": str(len(content))}, iter((content,)))
        return server.handle(method, path, body, "172.18.0.1")

    def _between(self, url: str, path: str) -> str:
        """Return what stands before the server's answer."""
        return "hang" if self._serving.hangs(urlsplit(url).port or 80) else self._serving.state.between.get(path, "")

    def _intercepted(self, between: str, url: str, began: float, patience: float) -> dict[str, Any]:
        """Return the proxy that answers instead of the server; or what it does to the connection."""
        kind, _, detail = between.partition(" ")
        if kind == "reset":
            raise Refusal("error", "The underlying connection was closed: An unexpected error occurred on a receive.")
        if kind == "hang":
            self._clock.sleep(patience)
            raise _late(url, patience)
        content = gzip.compress(detail.encode()) if kind == "gzip" else b""
        value = {"status": 302 if kind == "redirect" else 200, "body": base64.b64encode(content).decode()}
        elapsed = self._clock.now() - began
        where = {"location": detail} if kind == "redirect" else {}
        return {**value, **where, "elapsed": elapsed, "first_byte": elapsed if content else None}

    def _registry(self, url: str, began: float) -> dict[str, Any]:
        if not self._serving.state.online:
            raise Refusal("error", f"The remote name could not be resolved: '{urlsplit(url).hostname}'")
        self._clock.sleep(_INTERNET_SECONDS)
        status, body = registry.answer(urlsplit(url).path)
        elapsed = self._clock.now() - began
        return {"status": status, "body": base64.b64encode(body).decode(), "elapsed": elapsed, "first_byte": elapsed}

    def generate(self, *, url: str, body: str, timeout: float, sample: bool) -> dict[str, Any]:
        """Make a request while the loads of GPU and CPU are looked at; returns the `generate` probe's value."""
        state = self._serving.state
        smi = state.card.installed and not (state.card.fallen or state.card.reset)
        gpu: list[int] = []
        cpu: list[int] = []
        last, began = float("-inf"), self._clock.now()
        came: list[tuple[float, bytes]] = []

        def watch(piece: str) -> None:
            nonlocal last
            came.append((self._clock.now() - began, base64.b64decode(piece)))
            if not sample or self._clock.now() - last < _SAMPLE_EVERY:
                return
            last = self._clock.now()
            on_gpu, on_cpu = self.load()
            if smi and last - began >= _SMI_STARTS:  # nvidia-smi is a separate program, and prints nothing while it starts
                gpu.append(on_gpu)
            if not state.login.restricted:
                cpu.append(on_cpu)

        # with the answer's pieces and not by a separate clock: on a busy machine the whole answer could pass between two looks
        try:
            value = self.request(method="POST", url=url, body=body, timeout=timeout, on_chunk=watch)
        except Refusal as late:
            if late.kind != "timeout" or not came:
                raise
            body_so_far = base64.b64encode(b"".join(piece for _, piece in came)).decode()
            value = {"status": 200, "body": body_so_far, "elapsed": self._clock.now() - began, "first_byte": came[0][0]}
            return {**value, "last_byte": came[-1][0], "cut": True, "gpu": gpu, "cpu": cpu}
        return {**value, "last_byte": came[-1][0] if came else None, "cut": False, "gpu": gpu, "cpu": cpu}

    def load(self) -> tuple[int, int]:
        """Return how busy the GPU and the CPU are now, in percent: each works while its part of the weights is read."""
        for server in self._serving.servers():
            for runner in server.runners:
                if not server.generating:
                    continue
                on_gpu = runner.gpu_weights / _PACE.gpu
                on_cpu = runner.cpu_weights / _PACE.cpu
                part = on_gpu / (on_gpu + on_cpu)
                return round(96 * part), round(_IDLE_CPU + (_BUSY_CPU - _IDLE_CPU) * (1 - part) + 4 * part)
        return 1, _IDLE_CPU

    def _server(self, url: str) -> tuple[OllamaServer, str]:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise Refusal("error", f"{url}: only http:// is spoken here")
        port = parts.port or 80
        if parts.hostname not in _LOOPBACK:
            raise Refusal("error", f"the remote name could not be resolved: '{parts.hostname}'")
        server = self._serving.listening(port)
        if server is None:
            raise Refusal(
                "refused", f"No connection could be made because the target machine actively refused it {parts.hostname}:{port}"
            )
        return server, parts.path + (f"?{parts.query}" if parts.query else "")

    def _read(  # the request's fields
        self, answer: Answer, began: float, timeout: float, url: str, on_chunk: OnChunk | None, *, silence: float | None
    ) -> tuple[list[bytes], float | None]:
        chunks: list[bytes] = []
        first: float | None = None
        last = began
        for chunk in answer.chunks:
            if silence is not None and self._clock.now() - last > silence:
                answer.close()
                raise _silent(silence)
            last = self._clock.now()
            if chunk and first is None:
                first = self._clock.now() - began
            chunks.append(chunk)
            if on_chunk is not None:
                try:
                    on_chunk(base64.b64encode(chunk).decode())
                except OSError:  # the client is gone, and a server gives up an answer without a reader
                    answer.close()
                    raise
            if self._clock.now() - began > timeout:
                answer.close()
                raise _late(url, timeout)
        return chunks, first


def _late(url: str, timeout: float) -> Refusal:
    return Refusal("timeout", f"The operation has timed out: {url} did not answer within {timeout:g} s")


def _silent(silence: float) -> Refusal:
    return Refusal("timeout", f"nothing came for {silence:g} s")
