"""Facts about a server in a distribution of WSL, seen from Windows."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

from remediation.diagnosis.facts.base import Sheet
from remediation.diagnosis.units import MIB, human
from remediation.model.finding import Quote

_KERNEL = 512 * MIB
"""What the kernel of WSL's machine keeps of its memory, generously; /proc/meminfo counts the rest."""


def derive_guest(sheet: Sheet) -> None:
    """Record the facts about a WSL distribution that holds the server or can hold it."""
    evidence, guest = sheet.reading.evidence, sheet.reading.evidence.guest
    if guest is None or evidence.serving is None:
        return
    sheet.say("reported.wsl1", guest.version == 1 or None, "the distribution has version 1")
    sheet.say("seen.wsl_driver_files_missing", bool(library := guest.foreign_library) or None, f"the linker finds {library}, not the library of the Windows driver")
    name, config, host = evidence.serving.name, guest.config, evidence.system
    total = host.memory_total if host is not None else None
    # without a setting WSL gives its machine half of the host's memory (facts/native 4)
    if guest.memory is not None and total and guest.memory < total // 2 - _KERNEL:
        setting = f", and {config.path} has memory={human(config.memory)}" if config is not None and config.memory else ""
        text = f"WSL's virtual machine has {human(guest.memory)} of the host's {human(total)}{setting}"
        sheet.say("wsl.memory_limited", True, text, Quote(f"/proc/meminfo in {name}", human(guest.memory)))
        sheet.say("wsl.restartable", guest.unit is not None, f"systemd starts the server with {name}")
    if evidence.ollama_version is not None:
        return
    if not guest.running:
        text = f"the distribution {name} is stopped, no program of Ollama runs in Windows, and no server answers"
        sheet.say("wsl.stopped", True, text, Quote("wsl --list --verbose", f"{name} Stopped"))
    elif guest.pid is None:
        text = f"the distribution {name} runs, and its service {evidence.unit} is {(guest.unit.state if guest.unit is not None else '') or 'stopped'}"
        sheet.say("wsl.unit_stopped", True, text, Quote(f"systemctl show {evidence.unit} in {name}", text))
    elif config is not None and config.cut_off:
        text = f"the server runs in {name} (process {guest.pid}), and {config.cut_off} keeps Windows from reaching it"
        sheet.say("wsl.cut_off", True, text, Quote(config.path, config.cut_off))
