"""A look at a GPU as lines."""

from __future__ import annotations

from remediation.model.facts import Gpu, GpuUse, Process, Runner
from remediation.report.gpus import Sample, sample_lines

GIB = 1024**3
CARD = Gpu(0, "GPU-1", "NVIDIA GeForce RTX 3060 Laptop GPU", "551.86", 6 * GIB, 5 * GIB, GIB, utilization=42)


def text(sample: Sample) -> str:
    return "\n".join(row for line in sample_lines(sample) for row in line.rows())


def test_memory_load_and_holders_have_their_units() -> None:
    use = GpuUse((CARD,), (Process(1, "chrome.exe", 0.0, vram=2 * GIB), Process(2, "who.exe", 0.0, vram=None)))
    shown = text(Sample("laptop-07", 0.0, use, (Runner("mistral:7b", 5 * GIB, GIB),)))
    assert "5.0 GiB of 6.0 GiB" in shown
    assert "busy 42 %" in shown
    assert "mistral:7b 1.0 GiB of 5.0 GiB on the GPU" in shown
    assert "chrome.exe 2.0 GiB" in shown
    assert "who.exe" not in shown  # an unknown amount is not told as one


def test_a_host_that_cannot_be_looked_at_says_why() -> None:
    sample = Sample("dev-1", 0.0, error="no route")
    assert text(sample) == "dev-1  no route"
    assert sample.to_json()["error"] == "no route"


def test_amounts_that_contradict_the_card_are_said_to() -> None:
    assert "unreliable: sums to more" in text(Sample("h", 0.0, GpuUse((CARD,), reliable=False, why_unreliable="sums to more")))


def test_a_server_that_does_not_answer_is_said_beside_its_card() -> None:
    sample = Sample("h", 0.0, GpuUse((CARD,)), silent="Ollama does not answer")
    assert "Ollama does not answer" in text(sample)
    assert sample.to_json()["ollama"] == "Ollama does not answer"


def test_a_part_of_a_small_model_is_no_whole_one() -> None:
    small = Runner("tiny", 110 * 1024**2, 108 * 1024**2)
    assert "tiny 98 % of 0.1 GiB on the GPU" in text(Sample("h", 0.0, GpuUse((CARD,)), (small,)))
    nearly = Runner("tiny", 110 * 1024**2, 110 * 1024**2 - 1)
    assert "tiny 99 % of 0.1 GiB on the GPU" in text(Sample("h", 0.0, GpuUse((CARD,)), (nearly,)))
