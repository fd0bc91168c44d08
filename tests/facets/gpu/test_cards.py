"""Cards that nvidia-smi lists without telling their amounts, and answers of nvidia-smi that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.readers.reading import read_evidence
from remediation.facets.gpu import devices as gpu
from remediation.facets.gpu import nvidia_smi, sampling, wddm
from remediation.model.errors import CallFailed
from remediation.model.facts import GpuUse, Process
from remediation.report.gpus import Sample, sample_lines

ROW = "0, GPU-1, RTX, 551.61, {total}, {used}, {free}, 0, 5, WDDM, 8.9"
KNOWN = ROW.format(total=24564, used=1000, free=23564)
RESET = ROW.format(total=24564, used="[GPU requires reset]", free="[GPU requires reset]")
COUNTERS: dict[str, Any] = {"process_memory": [], "adapter_memory": [], "counters_error": None}


def cards(*rows: str) -> tuple[nvidia_smi.Gpu, ...]:
    return nvidia_smi.gpus("\r\n".join(rows), nvidia_smi.FIELDS, "dev-07")


@pytest.mark.parametrize(
    "said", ["[GPU requires reset]", "GPU requires reset", "[Unknown Error]", "[N/A]", "[Not Supported]", "ERR!", ""]
)
def test_a_card_without_amounts_is_listed(said: str) -> None:
    (card,) = cards(ROW.format(total=24564, used=said, free=said))
    assert (card.total, card.used, card.free) == (24564 * nvidia_smi.MIB, None, None)
    assert (said or "nothing") in card.problem
    assert ("nvidia-smi --gpu-reset -i 0" in card.problem) == ("reset" in said)


def test_a_card_without_any_value_is_listed() -> None:
    # what every field of such a card is where the driver has lost it
    lost = "[GPU requires reset]"
    (card,) = cards(", ".join([lost, "GPU-1", *[lost] * 9]))
    assert (card.index, card.name, card.driver_version, card.total, card.compute_capability) == (0, lost, "", None, None)


def test_a_card_with_its_amounts_has_no_problem() -> None:
    assert [(card.used, card.problem) for card in cards(KNOWN)] == [(1000 * nvidia_smi.MIB, "")]


@pytest.mark.parametrize(
    "text", ["x" * 200_000, f"{KNOWN}\n{'x' * 200_000}", "Unable to determine the device handle", "No devices were found"]
)
def test_an_answer_that_cannot_be_read_is_an_error_of_this_host(text: str) -> None:
    with pytest.raises(CallFailed, match="cannot parse the output of nvidia-smi") as caught:
        cards(text)
    assert (caught.value.host, len(caught.value.message) < 400) == ("dev-07", True)


@pytest.mark.parametrize("text", ["", "\r\n"])
def test_no_card_is_no_error(text: str) -> None:
    assert cards(text) == ()


def test_a_program_that_could_not_be_started_is_not_called_missing() -> None:
    value = {"rc": None, "stdout": "", "stderr": "", "fields": [], "rows": [], **COUNTERS}
    assert "not installed" in gpu.missing_nvidia_smi(value, "dev-07").message
    error = gpu.missing_nvidia_smi({**value, "Problems": {"rc": "Access is denied"}}, "dev-07")
    assert error.message == "nvidia-smi could not be started: Access is denied"


def probed(rows: str, **more: object) -> GpuUse:
    value = {"rc": 0, "stdout": rows, "stderr": "", "fields": list(nvidia_smi.FIELDS), **COUNTERS, **more}
    return gpu.use_from_probe(value, (Process(7, "chrome.exe", 1.0),), "dev-07")


def test_what_windows_does_not_count_is_unknown_and_not_zero() -> None:
    rows = [{"Name": "pid_7_luid_0x0_0x1_phys_0", "LocalUsage": None}, {"Name": "pid_8_luid_0x0_0x1_phys_0", "LocalUsage": 5}]
    adapters = [
        {"Name": "luid_0x0_0x2_phys_0", "DedicatedUsage": None},
        {"Name": "luid_0x0_0x1_phys_0", "DedicatedUsage": 1000 * nvidia_smi.MIB},
    ]
    use = probed(KNOWN, process_memory=rows, adapter_memory=adapters)
    assert [(one.pid, one.vram) for one in use.processes] == [(7, None)]
    assert use.reliable


def test_counters_that_are_refused_are_not_called_missing() -> None:
    assert "denies this login access" in wddm.residents([], [], (), "Access denied (0x80041003)").why
    assert wddm.residents([], [], (), "Invalid class ").why.startswith("Windows has no GPU counters here (Invalid class);")


def test_amounts_by_program_are_not_compared_with_a_card_without_one() -> None:
    use = probed(RESET, process_memory=[{"Name": "pid_7_luid_0x0_0x1_phys_0", "LocalUsage": 2**40}], adapter_memory=[])
    assert (len(use.gpus), use.silent, use.free, use.reliable) == (1, use.gpus[0], 0, False)


def test_people_and_programs_read_the_reason() -> None:
    sample = Sample("dev-07", 0.0, probed(RESET))
    assert any("needs a reset" in str(line.text) for line in sample_lines(sample))
    assert "needs a reset" in str(sample.to_json())
    (smi,) = read_evidence(Evidence(platform="windows", use=sample.use)).smi
    assert (smi.names, smi.total, smi.used) == ([], [], [])


def test_a_sample_of_a_card_without_amounts() -> None:
    (one,) = sampling.rows("0, [N/A], [GPU requires reset]", 1.0)
    assert (one.utilization, one.used) == (None, None)
