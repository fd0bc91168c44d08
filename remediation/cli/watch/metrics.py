"""Metrics of ``watch`` for Prometheus, served over HTTP (extra ``metrics``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remediation.model.errors import UsageError

if TYPE_CHECKING:
    from remediation.cli.watch.check import HostCheck

DEFAULT_ADDRESS = "127.0.0.1"


def listening_address(text: str) -> tuple[str, int]:
    """Return the host and port of ``--metrics``: ``9105``, ``:9105``, ``0.0.0.0:9105`` or ``[::1]:9105``. Raises `UsageError`."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(
            f"--metrics: expected ADDRESS:PORT such as 127.0.0.1:9105, got {text!r}",
            next_step="give a port of this machine, with or without an address",
        )
    return host.strip("[]") or DEFAULT_ADDRESS, int(port)


class WatchMetrics:
    """The metrics, in a registry of their own."""

    def __init__(self) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError:
            raise UsageError("--metrics needs the extra metrics", next_step="pip install 'remediation[metrics]'") from None
        self._serve = prometheus.start_http_server
        self.registry: Any = prometheus.CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Any:
            return prometheus.Gauge(f"remediation_{name}", text, ("host", *labels), registry=self.registry)

        self._up = gauge("host_up", "Whether the host could be reached and read (1) or not (0).")
        self._met = gauge("goal_met", "Whether all layers of the model are on the GPU (1) or not (0); absent if unknown.")
        self._layers = gauge("layers_on_gpu", "Layers of the model on the GPU.")
        self._whole = gauge("layers", "Layers of the model.")
        self._used = gauge("vram_used_bytes", "Used memory of all GPUs.")
        self._total = gauge("vram_total_bytes", "Memory of all GPUs.")
        self._seconds = gauge("check_seconds", "Seconds that the last check of the host took.")
        self._first = gauge("first_token_seconds", "Seconds to the first token, as the last repair measured it.", "label")
        self._finding = gauge("finding", "1 for the cause that was found at the last check.", "cause")
        self._repairs = prometheus.Counter(
            "remediation_repairs", "Repairs by their result.", ("host", "cause", "result"), registry=self.registry
        )
        self._causes: dict[str, str] = {}

    def serve(self, host: str, port: int) -> None:
        """Serve the metrics from a thread. Raises `UsageError` if the address cannot be used."""
        try:
            self._serve(port, host, registry=self.registry)
        except (OSError, UnicodeError) as error:  # UnicodeError: no encoding of a host name for DNS
            reason = (error.strerror or error) if isinstance(error, OSError) else "not a host name"
            raise UsageError(
                f"--metrics: cannot listen at {host}:{port}: {reason}",
                next_step="choose a free port, and an address of this machine",
            ) from None

    def on_check(self, check: HostCheck) -> None:
        """Update the gauges of a host; what is unknown is removed."""
        host = check.host
        self._up.labels(host).set(int(check.reached))
        pair = check.layers or (None, None)
        for gauge, value in (
            (self._met, check.met), (self._layers, pair[0]), (self._whole, pair[1]), (self._used, check.memory_used),
            (self._total, check.memory_total), (self._seconds, check.seconds or None),
        ):  # fmt: skip
            if value is not None:
                gauge.labels(host).set(float(value))
            elif (host,) in gauge._metrics:  # noqa: SLF001 - the library has no other way to ask, and remove() raises for what is absent
                gauge.remove(host)
        before = self._causes.pop(host, "")
        if before and before != check.cause:
            self._finding.remove(host, before)
        if check.cause:
            self._finding.labels(host, check.cause).set(1)
            self._causes[host] = check.cause

    def on_repair(self, host: str, cause: str, result: str, first_token: dict[str, float]) -> None:
        """Count a repair, and keep the latencies that it measured."""
        self._repairs.labels(host, cause, result).inc()
        for label, seconds in first_token.items():
            self._first.labels(host, label).set(seconds)
