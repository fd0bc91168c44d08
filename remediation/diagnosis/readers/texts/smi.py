"""nvidia-smi in its table, ``-q`` and CSV shapes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from remediation.diagnosis.units import MIB, parse_size
from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole

_DRIVER = re.compile(r"Driver Version\s{0,100}:?\s{0,100}(\d{1,20}\.\d{1,20}(?:\.\d{1,20})?)")
_CUDA = re.compile(r"CUDA Version\s{0,100}:?\s{0,100}(\d{1,20}\.\d{1,20})")
_MEMORY = re.compile(r"(\d{1,20})\s{0,100}MiB\s{0,100}/\s{0,100}(\d{1,20})\s{0,100}MiB")
_UTILIZATION = re.compile(r"(\d{1,20})%\s{1,100}(?:Default|E\. Process|Prohibited)")
_NAME = re.compile(r"^\|\s{1,100}\d{1,20}\s{1,100}((?:NVIDIA|GeForce|Tesla|Quadro|RTX|GTX)[^|]{0,100}?)\s{2,100}")
_PRODUCT = re.compile(r"Product Name\s{0,100}:\s{0,100}(.+)")
_PROCESS = re.compile(
    r"(?<!\d)(\d{1,20})\s{1,100}(?:N/A\s{1,100}N/A\s{1,100}|\S{1,20}\s{1,100}\S{1,20}\s{1,100})?(\d{1,20})\s{1,100}(C\+G|C|G|M\+C)\s{1,20}(\S.{0,400}?)\s{1,400}(\d{1,20}\s{0,10}MiB|N/A)\s{0,100}\|?\s{0,100}$"
)
_SECTION = re.compile(r"^\s{0,100}(FB|BAR1|Conf\w* Compute Protected) Memory Usage", re.IGNORECASE)
_AMOUNT = re.compile(r"^\s{0,100}(Total|Used|Free|Reserved)\s{0,100}:\s{0,100}(\d{1,20}) MiB")
# without one of these no text is nvidia-smi's
_NEEDLES = (
    "Driver Version",
    "CUDA Version",
    "MiB /",
    "MiB/",
    "Product Name",
    "memory.",
    "NVIDIA-SMI",
    "NVSMI",
    "Memory Usage",
    "| GPU",
    "|   0 ",
    "N/A  N/A ",
)
_LICENSE = re.compile(r"License Status\s{0,100}:\s{0,100}(.+)")


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A program that nvidia-smi lists; ``memory`` is None where it says N/A (WDDM, WSL)."""

    name: str
    kind: str
    memory: int | None


@dataclass(slots=True)
class SmiReading:
    """What one text says about the cards; sizes in bytes, one entry per card."""

    at: Quote | None = None
    driver: str = ""
    driver_at: Quote | None = None
    cuda: str = ""
    names: list[str] = field(default_factory=list)
    total: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    memory_at: Quote | None = None
    utilization: list[int] = field(default_factory=list)
    processes: list[GpuProcess] = field(default_factory=list)
    license: str = ""

    @property
    def works(self) -> bool:
        """Whether the driver answered with a card."""
        return bool(self.total or self.names)

    @property
    def others(self) -> list[GpuProcess]:
        """Programs that are not Ollama."""
        return [one for one in self.processes if "ollama" not in one.name.lower() and "llama-server" not in one.name.lower()]


def read_smi(text: str, label: str) -> SmiReading | None:  # noqa: C901 - one branch per kind of line
    """Return what nvidia-smi says in a text; None when it is not there."""
    if not any(needle in text for needle in _NEEDLES):
        return None
    reading, section, free = SmiReading(), "", None
    for number, line in enumerate(text.splitlines(), start=1):
        at = Quote(f"{label}:{number}", line.strip()[:300])
        if match := _DRIVER.search(line):
            reading.driver, reading.driver_at, reading.at = match[1], at, at
        if match := _CUDA.search(line):
            reading.cuda = match[1]
        if match := _SECTION.match(line):
            section = match[1].upper()
        elif section == "FB" and (match := _AMOUNT.match(line)):
            _amount(reading, match[1], int(match[2]) * MIB, at)
        if match := _MEMORY.search(line):
            reading.used.append(int(match[1]) * MIB)
            reading.total.append(int(match[2]) * MIB)
            reading.memory_at = at
        if match := _UTILIZATION.search(line):
            reading.utilization.append(int(match[1]))
        if match := _NAME.match(line) or _PRODUCT.search(line):
            reading.names.append(match[1].strip())
        if match := _PROCESS.search(line):
            reading.processes.append(GpuProcess(match[4].strip(), match[3], parse_size(match[5])))
        if match := _LICENSE.search(line):
            reading.license = match[1].strip()
        if free is None and "memory." in line and "," in line:
            free = _csv(text.splitlines()[number - 1 :], reading, label, number)
    return reading if reading.driver or reading.works or reading.processes else None


def _amount(reading: SmiReading, what: str, size: int, at: Quote) -> None:
    if what == "Total":
        reading.total.append(size)
    elif what == "Used":
        reading.used.append(size)
        reading.memory_at = at


def _csv(lines: list[str], reading: SmiReading, label: str, start: int) -> bool:
    """Read ``--query-gpu=… --format=csv``; the header names the columns."""
    header = [part.strip().split(" ")[0] for part in lines[0].split(",")]
    if not any(name in {"memory.total", "memory.used", "memory.free"} for name in header):
        return False
    for offset, line in enumerate(lines[1:]):
        cells = [part.strip() for part in line.split(",")]
        if len(cells) != len(header):
            break
        row = dict(zip(header, cells, strict=True))
        sizes = {key: _mebibytes(value) for key, value in row.items() if key.startswith("memory.")}
        total, used, free = (sizes.get(f"memory.{key}") for key in ("total", "used", "free"))
        if total is not None:
            reading.total.append(total)
            if used is None and free is not None:
                used = total - free
            if used is not None:
                reading.used.append(used)
            reading.memory_at = Quote(f"{label}:{start + offset + 1}", line.strip()[:300])
        if "name" in row:
            reading.names.append(row["name"])
        if "driver_version" in row:
            reading.driver = row["driver_version"]
            reading.driver_at = reading.memory_at
    return True


def _mebibytes(text: str) -> int | None:
    return int(text) * MIB if is_whole(text) else parse_size(text)
