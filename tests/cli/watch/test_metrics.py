"""Metrics as Prometheus reads them."""

from __future__ import annotations

import prometheus_client
import pytest

from remediation.cli.watch.check import HostCheck, failed_check
from remediation.cli.watch.metrics import WatchMetrics, listening_address
from remediation.model.errors import Unreachable, UsageError


def served(metrics: WatchMetrics) -> dict[str, float]:
    text = prometheus_client.generate_latest(metrics.registry).decode()
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#") and "_created" not in line]
    return {name.removeprefix("remediation_"): float(value) for name, _, value in rows}


def test_a_host_has_its_layers_memory_and_finding() -> None:
    metrics = WatchMetrics()
    check = HostCheck("a", False, "1/33", "vram_occupied", layers=(1, 33), memory_used=5, memory_total=6, seconds=0.5)
    metrics.on_check(check)
    metrics.on_repair("a", "vram_occupied", "repaired", {"before": 2.9, "after": 0.2})
    assert served(metrics) == {
        'host_up{host="a"}': 1, 'goal_met{host="a"}': 0, 'layers_on_gpu{host="a"}': 1, 'layers{host="a"}': 33, 'vram_used_bytes{host="a"}': 5,
        'vram_total_bytes{host="a"}': 6, 'check_seconds{host="a"}': 0.5, 'finding{cause="vram_occupied",host="a"}': 1,
        'first_token_seconds{host="a",label="before"}': 2.9, 'first_token_seconds{host="a",label="after"}': 0.2,
        'repairs_total{cause="vram_occupied",host="a",result="repaired"}': 1,
    }  # fmt: skip


def test_what_is_no_longer_known_disappears() -> None:
    metrics = WatchMetrics()
    metrics.on_check(HostCheck("a", False, "", "vram_occupied", layers=(1, 33), seconds=1.0))
    metrics.on_check(HostCheck("a", False, "", "driver_lost", seconds=1.0))
    assert served(metrics) == {
        'host_up{host="a"}': 1,
        'goal_met{host="a"}': 0,
        'check_seconds{host="a"}': 1,
        'finding{cause="driver_lost",host="a"}': 1,
    }
    metrics.on_check(failed_check("a", Unreachable("no route")))
    assert served(metrics) == {'host_up{host="a"}': 0}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9105", ("127.0.0.1", 9105)),
        (":9105", ("127.0.0.1", 9105)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9105", ("::1", 9105)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert listening_address(text) == address


@pytest.mark.parametrize("text", ["", "x", "1.2.3.4", "host:0", "host:70000", "host:-1"])
def test_a_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected ADDRESS:PORT"):
        listening_address(text)


def test_an_address_that_no_machine_has_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"--metrics: cannot listen at a\.\.b:9105: not a host name"):
        WatchMetrics().serve("a..b", 9105)


def test_a_taken_address_is_one_sentence() -> None:
    server, _ = prometheus_client.start_http_server(0, "127.0.0.1", registry=prometheus_client.CollectorRegistry())
    try:
        with pytest.raises(UsageError, match="cannot listen at 127"):
            WatchMetrics().serve("127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        server.server_close()
