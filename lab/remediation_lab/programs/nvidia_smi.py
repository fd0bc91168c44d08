"""nvidia-smi on Windows: CSV queries and XML; under WDDM no amount per process (facts/windows 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from remediation_lab.programs import MISSING, Call, Done, failed, printed
from remediation_lab.wire import Refusal
from remediation_lab.world.state import MIB, Program

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

BAD_ARGUMENT = 2
_LOST = 15
FIELDS = ("index", "uuid", "name", "driver_version", "memory.total", "memory.used", "memory.free")
_GONE = "Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU"


def _stamp(machine: Machine) -> str:
    from datetime import datetime, timezone  # only this one field needs it

    return datetime.fromtimestamp(machine.clock.now(), timezone.utc).strftime("%Y/%m/%d %H:%M:%S.%f")[:-3]


_VALUES: Mapping[str, tuple[Callable[[Machine], object], str]] = {
    "index": (lambda _: 0, ""),
    "count": (lambda _: 1, ""),
    "timestamp": (_stamp, ""),
    "uuid": (lambda m: m.state.card.uuid, ""),
    "gpu_uuid": (lambda m: m.state.card.uuid, ""),
    "name": (lambda m: m.state.card.name, ""),
    "gpu_name": (lambda m: m.state.card.name, ""),
    "pci.bus_id": (lambda m: m.state.card.bus, ""),
    "driver_version": (lambda m: m.state.card.driver, ""),
    "driver_model.current": (lambda _: "WDDM", ""),
    "driver_model.pending": (lambda _: "WDDM", ""),
    "display_active": (lambda _: "Disabled", ""),
    "display_mode": (lambda _: "Disabled", ""),
    "memory.total": (lambda m: m.memory.total() // MIB, "MiB"),
    "memory.reserved": (lambda m: m.state.card.reserve // MIB, "MiB"),
    "memory.used": (lambda m: m.memory.used() // MIB, "MiB"),
    "memory.free": (lambda m: m.memory.free() // MIB, "MiB"),
    "utilization.gpu": (lambda m: m.network.load()[0], "%"),
    "utilization.memory": (lambda m: m.network.load()[0] * 2 // 3, "%"),
    "pstate": (lambda m: "P0" if m.network.load()[0] > 5 else "P8", ""),  # percent
    "compute_cap": (lambda m: m.state.card.compute, ""),
    "ecc.mode.current": (lambda _: "[N/A]", ""),
    "persistence_mode": (lambda _: "[N/A]", ""),
    "temperature.gpu": (lambda _: 47, ""),
    "power.draw": (lambda _: "14.71", "W"),
    "fan.speed": (lambda _: "[N/A]", "%"),
}
_NEEDS_RESET = "[GPU requires reset]"
_UNTOLD: Mapping[str, str] = {
    "memory.total": _NEEDS_RESET, "memory.reserved": _NEEDS_RESET, "memory.used": _NEEDS_RESET, "memory.free": _NEEDS_RESET,
    "utilization.gpu": "[Unknown Error]", "utilization.memory": "[Unknown Error]", "pstate": "[Unknown Error]", "temperature.gpu": _NEEDS_RESET,
    "compute_cap": "[N/A]", "power.draw": "[N/A]",
}  # fmt: skip
"""What stands in the place of a value that a card which needs a reset does not tell."""
_APPS = ("gpu_uuid", "gpu_name", "pid", "process_name", "name", "used_gpu_memory", "used_memory")


def nvidia_smi(machine: Machine, call: Call) -> Done:
    """Run one query."""
    if not machine.state.card.installed:
        raise Refusal("not-found", MISSING)
    words = list(call.argv[1:])
    options = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    style = options.get("--format", "csv").split(",")
    units, header = "nounits" not in style, "noheader" not in style
    if "--query-gpu" in options:
        return query(machine, options["--query-gpu"].split(","), units=units, header=header)
    if "--query-compute-apps" in options:
        return _apps(machine, options["--query-compute-apps"].split(","), units=units, header=header)
    if "-q" in words and "-x" in words:
        return printed(_xml(machine)) if not machine.state.card.fallen else failed(_GONE, rc=_LOST)
    if words == ["-L"]:
        card = machine.state.card
        return printed(f"GPU 0: {card.name} (UUID: {card.uuid})\n") if not card.fallen else failed(_GONE, rc=_LOST)
    return Done(
        BAD_ARGUMENT,
        f"Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n{' '.join(words)}\n".encode(),
    )


def query(machine: Machine, fields: Sequence[str], *, units: bool, header: bool) -> Done:
    """Answer --query-gpu; one unknown field fails the whole query with code 2."""
    names = [each.strip() for each in fields]
    for name in names:
        if name not in _VALUES:
            return Done(BAD_ARGUMENT, f'Field "{name}" is not a valid field to query.\n\n'.encode())
    if machine.state.card.fallen:
        return Done(_LOST, f"{_GONE}\n".encode())
    unreadable = _UNTOLD if machine.state.card.reset else {}
    cells = (unreadable.get(name) or str(_VALUES[name][0](machine)) for name in names)
    rows = [", ".join(_with_unit(cell, _VALUES[name][1], units=units) for name, cell in zip(names, cells, strict=True))]
    if header:
        titles = (f"{name} [{_VALUES[name][1]}]" if units and _VALUES[name][1] else name for name in names)
        rows.insert(0, ", ".join(titles))
    return printed("".join(f"{row}\r\n" for row in rows))


def _with_unit(value: str, unit: str, *, units: bool) -> str:
    return f"{value} {unit}" if units and unit and not value.startswith("[") else value


def _users(machine: Machine) -> list[tuple[Program, str]]:
    # graphics programs are shown by pid and path, CUDA in the WSL VM is not seen from Windows (facts/windows 4.1)
    return [(each, "C+G") for each in machine.state.programs if each.local and each.path]


def _apps(machine: Machine, fields: Sequence[str], *, units: bool, header: bool) -> Done:
    names = [each.strip() for each in fields]
    for name in names:
        if name not in _APPS:
            return Done(BAD_ARGUMENT, f'Field "{name}" is not a valid field to query.\n\n'.encode())
    card = machine.state.card
    rows = []
    for program, _ in _users(machine):
        values = {
            "gpu_uuid": card.uuid, "gpu_name": card.name, "pid": str(program.pid), "process_name": str(program.path),
            "name": str(program.path), "used_gpu_memory": "[N/A]", "used_memory": "[N/A]",
        }  # fmt: skip
        rows.append(", ".join(values[name] for name in names))
    if header:
        amount = " [MiB]" if units else ""
        rows.insert(
            0, ", ".join(f"used_gpu_memory{amount}" if name in {"used_memory", "used_gpu_memory"} else name for name in names)
        )
    return printed("".join(f"{row}\r\n" for row in rows))


def _xml(machine: Machine) -> str:
    card, memory = machine.state.card, machine.memory
    reset = _NEEDS_RESET.strip("[]") if card.reset else ""
    processes = "".join(
        f"""
			<process_info>
				<gpu_instance_id>N/A</gpu_instance_id>
				<compute_instance_id>N/A</compute_instance_id>
				<pid>{program.pid}</pid>
				<type>{kind}</type>
				<process_name>{escape(str(program.path))}</process_name>
				<used_memory>N/A</used_memory>
			</process_info>"""
        for program, kind in _users(machine)
    )
    return f"""<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
	<timestamp>{_stamp(machine)}</timestamp>
	<driver_version>{card.driver}</driver_version>
	<cuda_version>{card.cuda}</cuda_version>
	<attached_gpus>1</attached_gpus>
	<gpu id="{card.bus}">
		<product_name>{card.name}</product_name>
		<uuid>{card.uuid}</uuid>
		<driver_model>
			<current_dm>WDDM</current_dm>
			<pending_dm>WDDM</pending_dm>
		</driver_model>
		<fb_memory_usage>
			<total>{reset or f"{memory.total() // MIB} MiB"}</total>
			<reserved>{reset or f"{card.reserve // MIB} MiB"}</reserved>
			<used>{reset or f"{memory.used() // MIB} MiB"}</used>
			<free>{reset or f"{memory.free() // MIB} MiB"}</free>
		</fb_memory_usage>
		<utilization>
			<gpu_util>{reset or f"{machine.network.load()[0]} %"}</gpu_util>
			<memory_util>{reset or f"{machine.network.load()[0] * 2 // 3} %"}</memory_util>
		</utilization>
		<ecc_mode>
			<current_ecc>N/A</current_ecc>
		</ecc_mode>
		<processes>{processes}
		</processes>
	</gpu>
</nvidia_smi_log>
"""
