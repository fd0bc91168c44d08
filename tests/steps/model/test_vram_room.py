"""What unloading a model gives back: measured where the driver or the log tells it, an estimate of the API's where neither does."""

from __future__ import annotations

from remediation.diagnosis.readers.logs import read_cached as read
from remediation.diagnosis.units import MIB
from remediation.diagnosis.versions import parse_version
from remediation.model.facts import Gpu, GpuUse, Process, Runner
from remediation.steps.model.vram_room import rooms

VERSION = parse_version("0.13.5")
RUNNER = Runner("m", size=855 * MIB, size_vram=678 * MIB)
# recordings, v0.13.5 context-too-large-env: the estimate counts a graph of 585 MiB, of which 106 are allocated
LOG = """time=2026-11-23T19:57:05.000Z level=INFO source=server.go:496 msg="loading model" "model layers"=33 requested=-1
time=2026-11-23T19:57:06.175Z level=INFO source=device.go:267 msg="compute graph" device=Vulkan0 size="585.0 MiB"
load_tensors: offloaded 11/33 layers to GPU
load_tensors:      Vulkan0 model buffer size =     4.84 MiB
load_tensors:  Vulkan_Host model buffer size =     9.69 MiB
llama_kv_cache:    Vulkan0 KV buffer size =    88.00 MiB
llama_context:    Vulkan0 compute buffer size =   106.04 MiB
llama_context: Vulkan_Host compute buffer size =    64.51 MiB
"""


def card(used: int, *holders: Process) -> GpuUse:
    return GpuUse((Gpu(0, "GPU-1", "card", "555", 6144 * MIB, used * MIB, (6144 - used) * MIB),), holders)


def runner_process(amount: int | None, pid: int = 7, **more: object) -> Process:
    return Process(pid, "ollama", 1.0, vram=None if amount is None else amount * MIB, **more)  # type: ignore[arg-type] - fields of Process


def room(use: GpuUse, *others: Runner, log: str = "") -> tuple[int | None, int | None]:
    load = read(log).loads[-1] if log else None
    found = rooms(use, RUNNER, others, version=VERSION, freed=0, load=load)
    return tuple(None if each is None else each // MIB for each in found)  # type: ignore[return-value] - two of them


def test_the_drivers_amount_counts_before_the_servers_estimate() -> None:
    assert room(card(1000, runner_process(199))) == (5144 + 199, 5144 + 199)
    assert room(card(1000, runner_process(199)), log=LOG) == (5144 + 199, 5144 + 199)


def test_without_amounts_per_program_what_the_log_says_was_allocated_counts() -> None:
    assert room(card(1000), log=LOG)[0] == 5144 + 198
    assert room(card(1000, runner_process(None)), log=LOG)[0] == 5144 + 198  # WDDM tells no amount


def test_with_neither_the_servers_estimate_is_all_there_is() -> None:
    assert room(card(1000))[0] == 5144 + 678


def test_what_an_orphan_holds_comes_back_by_no_unloading() -> None:
    use = card(1400, runner_process(199), runner_process(1200, pid=8, orphan=True))
    assert room(use) == (4744 + 199, 4744 + 199)


def test_of_several_models_each_has_its_share_of_what_is_measured() -> None:
    other = Runner("other", size=678 * MIB, size_vram=678 * MIB)
    assert room(card(1000, runner_process(150), runner_process(250, pid=8)), other) == (5144 + 200, 5144 + 400)


def test_after_the_unloading_what_is_free_is_what_was_measured() -> None:
    assert rooms(card(801), None, (), version=VERSION, freed=0, load=None) == (5343 * MIB, 5343 * MIB)


def test_of_wsls_machine_no_more_than_the_models_are_said_to_hold_counts() -> None:
    machine = Process(4, "vmmemWSL", 1.0, vram=900 * MIB)  # a training job in another container holds the rest
    assert room(card(1000, machine)) == (5144 + 678, 5144 + 678)
    assert room(card(1000, Process(4, "vmmemWSL", 1.0, vram=445 * MIB)), log=LOG)[0] == 5144 + 445  # the log lacks CUDA's context


def test_a_runner_without_layers_on_the_card_still_holds_its_context_there() -> None:
    on_cpu = Runner("m", size=855 * MIB, size_vram=0)
    use = card(1000, runner_process(300))
    assert rooms(use, on_cpu, (), version=VERSION, freed=0, load=None) == (5444 * MIB, 5444 * MIB)
    assert rooms(use, on_cpu, (on_cpu, on_cpu), version=VERSION, freed=0, load=None) == (5244 * MIB, 5444 * MIB)
    assert rooms(card(1000), on_cpu, (), version=VERSION, freed=0, load=None) == (5144 * MIB, 5144 * MIB)
    assert rooms(use, None, (), version=VERSION, freed=0, load=None) == (5144 * MIB, 5144 * MIB)
