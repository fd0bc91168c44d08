"""Facts about what a collected host has, a server that has ended, and one in a distribution of WSL that is seen from Windows."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.readers.present import is_live
from remediation.diagnosis.units import MIB, human
from remediation.facets.ollama.service_log import fatal_error
from remediation.model.facts import Manager
from remediation.model.finding import Quote

_AT_BOOT = 120.0
_KERNEL = 512 * MIB
"""What the kernel of WSL's machine keeps of its memory, generously; /proc/meminfo counts the rest."""


def derive_surroundings(sheet: FactSheet) -> None:
    """Record what a collected host has and lacks. Of pasted evidence that stays unknown."""
    evidence, serving = sheet.reading.evidence, sheet.reading.evidence.serving
    if evidence.collected_at is None or evidence.platform == "unknown":
        return
    failing = any(piece.kind == "docker_error" for piece in evidence.pieces)
    contained = sheet.reading.in_container or (None if failing else False)
    sheet.record("host.container", contained, "" if contained else "Ollama does not run in a container here")
    linux = evidence.platform in {"linux", "docker-linux", "wsl"}
    sheet.record("host.linux", linux, "" if linux else "the host runs Windows")
    if evidence.platform in {"wsl", "docker-windows"} or (serving is not None and serving.wsl):
        sheet.record("host.wsl", True)
    elif contained is False:
        sheet.record("host.wsl", False, "Ollama does not run in WSL here")
    if serving is not None or contained:
        systemd = serving is not None and serving.manager is Manager.SYSTEMD
        sheet.record("host.systemd", systemd, "" if systemd else "no unit of systemd runs Ollama here")


def derive_ended(sheet: FactSheet) -> None:
    """Record that no server answers on a collected host, and that its unit is stopped. Its log describes the past then."""
    evidence = sheet.reading.evidence
    absent = is_live(evidence) and evidence.ollama_version is None and evidence.runners is None
    sheet.record("server.absent", absent or None)
    begun = [one.started for one in evidence.programs or () if one.program == "ollama" and not one.runner]
    booted = evidence.system.booted if evidence.system is not None else None
    if begun and booted is not None and 0 <= min(begun) - booted < _AT_BOOT:
        text = f"the server was started {min(begun) - booted:.0f} s after the machine"
        sheet.record("server.at_boot", True, text, Quote("processes", text))
    unit = evidence.serving.unit if evidence.serving is not None else None
    if unit is None or unit.pid or evidence.ollama_version is not None:
        return
    log = next((one for one in evidence.pieces if one.kind == "server_log"), None)
    last = fatal_error(log.text) if log is not None else None
    error = Quote(f"{log.label}:{last[0]}", last[1]) if log is not None and last is not None else None
    text = f"the service {unit.short} is {unit.state or 'stopped'}"
    if error is not None:
        text = f"{text}; its log ends with: {error.text}"
    sheet.record("server.unit_stopped", True, text, Quote(f"systemctl show {unit.short}", text), error)


def derive_guest(sheet: FactSheet) -> None:
    """Record the facts about a WSL distribution that holds the server or can hold it."""
    evidence, guest = sheet.reading.evidence, sheet.reading.evidence.guest
    if guest is None or evidence.serving is None:
        return
    sheet.record("reported.wsl1", guest.version == 1 or None, "the distribution has version 1")
    sheet.record("seen.wsl_driver_files_missing", bool(library := guest.foreign_library) or None, f"the linker finds {library}, not the library of the Windows driver")
    name, config, host = evidence.serving.name, guest.config, evidence.system
    total = host.memory_total if host is not None else None
    # without a setting WSL gives its machine half of the host's memory (facts/native 4)
    if guest.memory is not None and total and guest.memory < total // 2 - _KERNEL:
        setting = f", and {config.path} has memory={human(config.memory)}" if config is not None and config.memory else ""
        text = f"WSL's virtual machine has {human(guest.memory)} of the host's {human(total)}{setting}"
        sheet.record("wsl.memory_limited", True, text, Quote(f"/proc/meminfo in {name}", human(guest.memory)))
        sheet.record("wsl.restartable", guest.unit is not None, f"systemd starts the server with {name}")
    if evidence.ollama_version is not None:
        return
    if not guest.running:
        text = f"the distribution {name} is stopped, no program of Ollama runs in Windows, and no server answers"
        sheet.record("wsl.stopped", True, text, Quote("wsl --list --verbose", f"{name} Stopped"))
    elif guest.pid is None:
        text = f"the distribution {name} runs, and its service {evidence.unit} is {(guest.unit.state if guest.unit is not None else '') or 'stopped'}"
        sheet.record("wsl.unit_stopped", True, text, Quote(f"systemctl show {evidence.unit} in {name}", text))
    elif config is not None and config.cut_off:
        text = f"the server runs in {name} (process {guest.pid}), and {config.cut_off} keeps Windows from reaching it"
        sheet.record("wsl.cut_off", True, text, Quote(config.path, config.cut_off))
