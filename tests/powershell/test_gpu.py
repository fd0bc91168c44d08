"""The probes ``gpu`` and ``sample`` under a real PowerShell: nvidia-smi that fails, hangs or is not there, and counters that are refused."""

from __future__ import annotations

import pytest

from tests.powershell.host import NO_CIM, SMI, Host, _host, host

__all__ = ["_host", "host"]

ROW = "0, GPU-1, RTX, 551.61, 24564, 1000, 23564, 0, 5, WDDM, 8.9"
COUNTERS = """
function Get-CimInstance([string] $ClassName) {
    if ($ClassName -like '*GPUProcessMemory') { [pscustomobject] @{ Name = 'pid_7_luid_0x0_0x1_phys_0'; LocalUsage = [uint64] 5 } }
    elseif ($ClassName -like '*GPUAdapterMemory') { [pscustomobject] @{ Name = 'luid_0x0_0x1_phys_0'; DedicatedUsage = $null } }
}
"""
DATA = {"fields": ["index"], "fallback": ["index"]}
HELD = 'while [ -e "$RUNNING" ]; do sleep 0.2; done &'
HANGS = 'while [ -e "$RUNNING" ]; do sleep 0.2; done'


def sampling(count: int, every: float = 0.1) -> dict[str, object]:
    return {"fields": ["index"], "every": every, "count": count}


def test_the_answer_is_whole(host: Host) -> None:
    host.commands = COUNTERS
    host.program(f"echo '{ROW}'; echo words >&2")
    value = host.ask("gpu", DATA)
    assert (value["rc"], value["stdout"], value["stderr"]) == (0, f"{ROW}\n", "words\n")
    assert [row["LocalUsage"] for row in value["process_memory"]] == [5]
    assert [row["DedicatedUsage"] for row in value["adapter_memory"]] == [None]
    assert (value["counters_error"], value["Problems"]) == (None, {})


def test_refused_counters_leave_the_card(host: Host) -> None:
    host.program(f"echo '{ROW}'")
    value = host.ask("gpu", DATA)
    assert (value["rc"], value["process_memory"], value["adapter_memory"]) == (0, [], [])
    assert value["Problems"] == {"process_memory": "Access denied", "adapter_memory": "Access denied"}
    assert value["counters_error"] == "Access denied"


def test_the_counters_of_the_processes_are_read_without_those_of_the_adapters(host: Host) -> None:
    host.commands = COUNTERS.replace("elseif", "else { throw 'Invalid class' }\n    if")
    host.program(f"echo '{ROW}'")
    value = host.ask("gpu", DATA)
    assert len(value["process_memory"]) == 1
    assert value["Problems"] == {"adapter_memory": "Invalid class"}


def test_an_unknown_field_is_left_out(host: Host) -> None:
    host.program(f'case "$1" in *compute_cap*) exit 2;; esac; echo "{ROW}"')
    value = host.ask("gpu", {"fields": ["index", "compute_cap"], "fallback": ["index"]})
    assert (value["rc"], value["fields"], value["stdout"]) == (0, ["index"], f"{ROW}\n")


@pytest.mark.parametrize("probe", ["gpu", "sample"])
def test_no_child_of_nvidia_smi_holds_up_the_answer(host: Host, probe: str) -> None:
    host.program(f"{HELD}\necho '{ROW}'")
    value = host.ask(probe, DATA if probe == "gpu" else sampling(2), timeout=15.0)
    assert value["rc"] == 0
    assert (value["stdout"] if probe == "gpu" else value["rows"][-1]["Text"]) == f"{ROW}\n"


@pytest.mark.parametrize("probe", ["gpu", "sample"])
def test_an_nvidia_smi_that_hangs_is_given_up(host: Host, probe: str) -> None:
    host.swaps = {"$limit = 20": "$limit = 1"}
    host.program(f"{HELD}\n{HANGS}")
    value = host.ask(probe, DATA if probe == "gpu" else sampling(2), timeout=15.0)
    assert (value["rc"], value["stderr"]) == (255, "nvidia-smi did not answer within 1 s")


def test_samples_before_nvidia_smi_hangs_are_kept(host: Host) -> None:
    host.swaps = {"$limit = 20": "$limit = 1"}
    host.program(f'echo "{ROW}"; if [ -e "$RUNNING-1" ]; then {HANGS}; fi; touch "$RUNNING-1"')
    value = host.ask("sample", sampling(3, every=3.0), timeout=30.0)
    assert (value["rc"], len(value["rows"])) == (255, 1)


@pytest.mark.parametrize("probe", ["gpu", "sample"])
def test_much_output_is_read_while_it_runs(host: Host, probe: str) -> None:
    host.program("yes words | head -n 60000 >&2; yes more | head -n 60000; exit 9")
    value = host.ask(probe, DATA if probe == "gpu" else sampling(2))
    assert value["rc"] == 9
    assert len(value["stderr"]) >= 300_000


@pytest.mark.parametrize("probe", ["gpu", "sample"])
def test_a_program_that_cannot_be_started_is_not_a_missing_one(host: Host, probe: str) -> None:
    host.program("exit 0")
    (host.root / SMI).chmod(0o644)
    value = host.ask(probe, DATA if probe == "gpu" else sampling(1))
    assert value["rc"] is None
    assert "ermission denied" in value["Problems"]["rc"]
    (host.root / SMI).unlink()
    value = host.ask(probe, DATA if probe == "gpu" else sampling(1))
    assert (value["rc"], "rc" in value["Problems"]) == (None, False)


@pytest.mark.parametrize("probe", ["gpu", "sample"])
def test_a_folder_that_may_not_be_looked_into_is_not_an_empty_one(host: Host, probe: str) -> None:
    host.commands = f"{NO_CIM}\nfunction Test-Path {{ throw (New-Object UnauthorizedAccessException 'Access is denied') }}"
    value = host.ask(probe, DATA if probe == "gpu" else sampling(1))
    assert (value["rc"], value["Problems"]["rc"]) == (None, "Access is denied")


def test_few_samples_are_made_where_each_takes_long(host: Host) -> None:
    host.program(f"sleep 0.5; echo '{ROW}'")
    value = host.ask("sample", sampling(5))
    assert value["rc"] == 0
    assert 0 < len(value["rows"]) < 5
