"""Samples as sparklines and as a page with time series."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from remediation.model.facts import Gpu, GpuUse, Process, Runner
from remediation.report.gpus import Sample
from remediation.report.samples.history import SampleHistory, sparkline
from remediation.report.samples.page import POINTS, samples_page, thin_out
from remediation.report.samples.read import sample_from_json
from tests.report.page.test_page import Tags, text_of

GIB = 1024**3


def taken(at: float, used: float = 5.0, *, host: str = "laptop-07", load: int | None = 40, rate: float | None = None) -> Sample:
    gpu = Gpu(0, "", "RTX 3060", "551.86", 6 * GIB, int(used * GIB), int((6 - used) * GIB), utilization=load)
    use = GpuUse((gpu,), (Process(1, "chrome.exe", 0.0, vram=2 * GIB),))
    return Sample(host, at, use, (Runner("mistral:7b", 5 * GIB, 5 * GIB),), rate=rate)


def test_a_sparkline_shows_levels_and_gaps() -> None:
    assert sparkline([0.0, 0.5, None, 1.0, 7.0], 1.0) == "▁▅ ██"
    assert sparkline([0.0, 0.0], 0.0) == "▁▁"


def shown(history: SampleHistory, now: float, width: int = 100) -> str:
    return "\n".join(row for line in history.lines(now) for row in line.rows(width))


def test_the_live_view_has_sparklines_for_memory_load_and_tokens() -> None:
    history = SampleHistory(["laptop-07"], 2.0)
    assert shown(history, 0.0) == "laptop-07  connecting"
    history.add([taken(0.0, 1.5, load=0)])
    history.add([taken(2.0, 6.0, load=100, rate=40.0)])
    text = shown(history, 3.0)
    assert "memory ▃█   load ▁█    █ 40 tokens/s" in text
    assert "mistral:7b 5.0 GiB of 5.0 GiB on the GPU" in text


def test_a_host_that_stops_answering_says_since_when() -> None:
    history = SampleHistory(["laptop-07"], 2.0)
    history.add([taken(100.0)])
    assert "no answer" not in shown(history, 103.0)
    assert "no answer for 30 s" in shown(history, 130.0)


def test_a_fleet_has_one_row_per_host_and_says_what_is_missing() -> None:
    names = [f"h{number}" for number in range(8)]
    history = SampleHistory(names, 2.0)
    history.add([taken(0.0, host=name) for name in names[:5]])
    history.add([Sample("h5", 0.0, error="no route", reached=False), Sample("h6", 0.0, GpuUse(()))])
    rows = shown(history, 1.0, 200).split("\n")
    assert len(rows) == 8
    assert rows[0].split() == [
        "h0",
        "▇",
        "5.0/6.0",
        "GiB",
        "▄",
        "40",
        "%",
        "mistral:7b",
        "100",
        "%",
        "·",
        "chrome.exe",
        "2.0",
        "GiB",
    ]
    assert [rows[5].split()[1:], rows[6].split()[1:], rows[7].split()[1:]] == [
        ["no", "route"],
        ["no", "NVIDIA", "GPU"],
        ["connecting"],
    ]


@pytest.mark.parametrize(
    "sample",
    [
        taken(1.0, rate=12.5),
        Sample("gone", 2.0, error="no route", reached=False),
        Sample("plain", 3.0, GpuUse(()), silent="Ollama does not answer"),
    ],
)
def test_a_sample_survives_its_file(sample: Sample) -> None:
    again = sample_from_json(json.loads(json.dumps(sample.to_json())))
    assert again.to_json() == sample.to_json()


@pytest.mark.parametrize(
    "value", [{}, {"event": "sample"}, {"event": "sample", "host": "h", "time": "now"}, {"event": "note", "host": "h", "time": 1}]
)
def test_what_is_no_sample_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a sample"):
        sample_from_json(value)


def test_odd_values_in_a_sample_are_unknown() -> None:
    odd = {
        "event": "sample",
        "host": "h",
        "time": 1,
        "gpus": [{"total": "many", "used": True}, 7],
        "processes": None,
        "models": [[]],
    }
    sample = sample_from_json(odd)
    assert sample.use is not None
    assert [(gpu.total, gpu.used) for gpu in sample.use.gpus] == [(None, None)]
    assert Tags(samples_page([sample])).open == []


def test_the_page_has_the_series_of_each_host_and_what_failed() -> None:
    samples = [taken(float(at), 1 + at % 5, rate={4: 20.0, 8: 30.0}.get(at)) for at in range(10)]
    samples += [Sample("lost", 1.0, error="no route", reached=False), Sample("lost", 3.0, error="no route", reached=False)]
    samples += [Sample("plain", 1.0, error="nvidia-smi is not installed")]
    page = samples_page(samples)
    text = text_of(page)
    assert "13 samples of 3 hosts" in text
    assert "5.0 GiB (1.0 GiB to 5.0 GiB)" in text
    assert "2 samples: no route" in text
    assert 'aria-label="memory used over time: GPU 0 memory from 1.0 GiB to 5.0 GiB, last 5.0 GiB"' in page
    assert 'aria-label="tokens per second over time: tokens per second from 20 to 30, last 30"' in page
    found = Tags(page)
    assert found.open == []
    rows = [attributes["data-outcome"] for tag, attributes in found.tags if tag == "tr" and "data-host" in attributes]
    assert rows == ["answers", "unreachable", "no GPU"]


def test_many_samples_become_few_points_that_keep_the_peaks() -> None:
    points = [(float(at), 9.0 if at == 777 else 1.0) for at in range(10_000)]
    few = thin_out(points, (0.0, 9999.0))
    assert len(few) <= POINTS
    assert max(value for _, value in few if value is not None) == 9.0


def test_one_measured_rate_is_a_figure_and_no_chart() -> None:
    page = samples_page([taken(float(at), 2, rate=30.0 if at == 4 else None) for at in range(10)])
    assert "tokens per second: 30" in text_of(page)
    assert "tokens per second over time" not in page


def test_figures_that_do_not_vary_are_given_once() -> None:
    assert "2.0 GiB (" not in text_of(samples_page([taken(float(at), 2) for at in range(3)]))


def test_a_model_that_is_partly_on_the_cpu_is_a_state_of_its_host() -> None:
    model = partial(Runner, "mistral:7b", 4 * GIB)
    page = samples_page([replace(taken(1.0, 2, host=name), runners=(model(size * GIB),)) for name, size in (("a", 4), ("b", 1))])
    assert '<td class="good">answers</td>' in page
    assert '<td class="warn">partly on the CPU</td>' in page


def test_hosts_are_in_the_order_of_their_numbers() -> None:
    text = text_of(samples_page([Sample(f"dev-{number}", 1.0, error="x") for number in (10, 9, 1)]))
    assert text.index("dev-1 ") < text.index("dev-9 ") < text.index("dev-10 ")
