"""nvidia-smi's stand-in: units, headers, refusals, XML, and no amount per process under WDDM."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

from remediation_lab.host.host import Host

FULL = (
    "index,uuid,name,pci.bus_id,driver_version,driver_model.current,driver_model.pending,display_active,display_mode,memory.total,"
    "memory.reserved,memory.used,memory.free,utilization.gpu,utilization.memory,pstate,compute_cap,ecc.mode.current,persistence_mode,"
    "temperature.gpu,power.draw"
)


def smi(machine: Host, *words: str) -> tuple[int, list[str]]:
    reply = machine.call("run", argv=["C:\\Windows\\System32\\nvidia-smi.exe", *words])
    return reply["rc"], base64.b64decode(reply["stdout"]).decode().splitlines()


def test_every_field_that_a_probe_may_ask_for_is_known(machine: Host) -> None:
    rc, (header, row) = smi(machine, f"--query-gpu={FULL}", "--format=csv")
    assert (rc, len(row.split(", ")), len(header.split(", "))) == (0, 21, 21)
    values = dict(zip((name.split(" [")[0] for name in header.split(", ")), row.split(", "), strict=True))
    assert (values["memory.total"], values["driver_model.current"], values["ecc.mode.current"]) == ("6144 MiB", "WDDM", "[N/A]")
    mebibytes = [int(values[f"memory.{name}"].split()[0]) for name in ("reserved", "used", "free", "total")]
    assert abs(sum(mebibytes[:3]) - mebibytes[3]) <= 2  # each is rounded down


def test_plain_rows_have_no_units(machine: Host) -> None:
    assert smi(machine, "--query-gpu=memory.total,name", "--format=csv,noheader,nounits")[1] == [
        "6144, NVIDIA GeForce RTX 3060 Laptop GPU"
    ]


def test_one_unknown_field_fails_the_whole_query(machine: Host) -> None:
    rc, said = smi(machine, "--query-gpu=name,no.such", "--format=csv")
    assert (rc, said[0]) == (2, 'Field "no.such" is not a valid field to query.')
    assert smi(machine, "--nosuch")[0] == 2


def test_amounts_per_process_are_not_available(machine: Host) -> None:
    rc, rows = smi(machine, "--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader")
    assert rc == 0
    assert any("chrome.exe" in row for row in rows)
    assert {row.rpartition(", ")[2] for row in rows} == {"[N/A]"}
    assert not any("vmmem" in row for row in rows)  # what runs in the WSL VM is not seen from here


def test_the_xml_lists_programs_by_path(machine: Host) -> None:
    rc, lines = smi(machine, "-q", "-x")
    root = ET.fromstring("\n".join(lines))  # our own text
    assert rc == 0
    assert root.findtext("gpu/fb_memory_usage/total") == "6144 MiB"
    assert {each.text for each in root.findall("gpu/processes/process_info/used_memory")} == {"N/A"}
    assert len(root.findall("gpu/processes/process_info")) == sum(
        bool(each.local and each.path) for each in machine.state.programs
    )


def test_a_card_that_fell_off_the_bus(machine: Host) -> None:
    machine.state.card.fallen = True
    for words in (("--query-gpu=name", "--format=csv"), ("-q", "-x"), ("-L",)):
        assert smi(machine, *words)[0] == 15
