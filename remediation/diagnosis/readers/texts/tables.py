"""Tables of other programs than NVIDIA's and Ollama's, in any language: the machine's memory, and what programs hold of the card."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from remediation.diagnosis.readers.texts.smi import GpuProcess
from remediation.diagnosis.units import GIB, KIB, MIB
from remediation.model.finding import Quote

_LONG = 200_000
_FREE_HEAD = re.compile(r"^[ \t]{4,40}(?:[^\s\d|]{2,20}(?: (?=[^\s\d]))?[ \t]+){4,6}[^\s\d|]{2,20}[ \t]*$")
"""The heading of `free`: six words and no number; the languages differ in the words alone."""
_FREE_ROW = re.compile(r"^[^\s:]{2,16}:[ \t]+((?:\d[\d.,]{0,12}(?:[KMGTP]i?|B)?[ \t]+){5}\d[\d.,]{0,12}(?:[KMGTP]i?|B)?)[ \t]*$")
_PHYSICAL = re.compile(
    r"^[^\n:]{0,80}(?:physical memory|physischer speicher|m[ée]moire physique|memoria f[íi]sica|mem[óo]ria f[íi]sica|физическ\w+ памят\w+|物理内存|物理メモリ)[^\n:]{0,60}"
    r"[:\uff1a][ \t]{0,40}(\d[\d.,'\u00a0\u202f ]{0,14})[ \t]{0,4}([KMG\u041a\u041c\u0413])(?:i?[B\u0411o\u043e])\b",
    re.IGNORECASE | re.MULTILINE,
)
_AVAILABLE = re.compile(r"available|verf[üu]gbar|dispon[ií]|доступ|可用|利用可能", re.IGNORECASE)
_CARD_COLUMN = re.compile(
    r"\bvram|\bdedi[ck]\w*|dédiée|dedicad|video ?(?:memory|ram)|gpu[-_ ]?(?:memory|mem\b|speicher|arbeitsspeicher)|grafikspeicher|m[ée]moire (?:du )?(?:gpu|vid[ée]o|graphique)"
    r"|mem[óo]ria (?:de |da |del )?(?:la )?(?:gpu|v[íi]deo|gr[áa]fica)|видеопамят|памят\w{1,3} (?:гп|gpu|видео)|显存|专用 ?gpu|gpu ?内存|専用 ?gpu|gpu ?メモリ|ビデオ ?メモリ",
    re.IGNORECASE,
)
_CELLS = re.compile(r"\t+|[ ]{2,}|\s*\|\s*|\s*;\s*")
_SIZE = re.compile(
    r"^(\d[\d.,'\u00a0\u202f ]{0,14}?)\s{0,2}(?:([KMG\u041a\u041c\u0413])?i?[B\u0411o\u043e]|([KMG\u041a\u041c\u0413])i?)?$",
    re.IGNORECASE,
)
_UNIT = re.compile(r"[(_\[ ]([KMG\u041a\u041c\u0413])i?[B\u0411o\u043e]\b", re.IGNORECASE)
_UNITS = {"k": KIB, "\u043a": KIB, "m": MIB, "\u043c": MIB, "g": GIB, "\u0433": GIB}
_MOST_ROWS = 60


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """The machine's memory as a table has it, in bytes."""

    total: int
    available: int
    at: Quote


def localized(text: str) -> float | None:
    """Return a number with the separators of any language; three digits after the only separator are thousands."""
    plain = re.sub(r"[\s'\u00a0\u202f]", "", text)
    if not re.fullmatch(r"\d{1,15}(?:[.,]\d{1,15}){0,5}", plain):
        return None
    marks = re.findall(r"[.,]", plain)
    last = max(plain.rfind("."), plain.rfind(","))
    if not marks:
        return float(plain)
    grouped = len(plain) - last - 1 == 3 and len(set(marks)) == 1 and plain[0] != "0"
    whole, part = (plain, "") if grouped else (plain[:last], plain[last + 1 :])
    return float(f"{re.sub('[.,]', '', whole)}.{part or 0}")


def read_memory(text: str, label: str) -> MachineMemory | None:
    """Return the machine's memory by the output of `free` or `systeminfo`, None where neither is there."""
    if len(text) > _LONG:
        return None
    lines = text.splitlines()
    for number, (head, row) in enumerate(itertools.pairwise(lines), start=2):
        match = _FREE_ROW.match(row) if _FREE_HEAD.match(head) else None
        if match is not None:
            sizes = _free_sizes(match[1].split())
            return MachineMemory(sizes[0], sizes[5], Quote(f"{label}:{number}", row.strip())) if sizes else None
    found = {bool(_AVAILABLE.search(match[0])): match for match in reversed(list(_PHYSICAL.finditer(text)))}
    if len(found) < 2:
        return None
    total, available = (localized(found[key][1]) for key in (False, True))
    if total is None or available is None:
        return None
    units = [_UNITS[found[key][2].lower()] for key in (False, True)]
    return MachineMemory(int(total * units[0]), int(available * units[1]), Quote(label, found[True][0].strip()[:200]))


def is_free_head(line: str) -> bool:
    """Whether a line is the heading of `free`, whose words state nothing."""
    return _FREE_HEAD.match(line) is not None


def _free_sizes(cells: list[str]) -> list[int] | None:
    numbers = []
    for cell in cells:
        match = re.fullmatch(r"(\d[\d.,]{0,12})([KMGTP]?)(i?|B)", cell)
        number = localized(match[1]) if match is not None else None
        if match is None or number is None:
            return None
        numbers.append((number, match[2].lower()))
    plain = not any(unit for _, unit in numbers)
    # `free` counts in KiB, `free -m` in MiB and `free -g` in GiB
    usual = (KIB if numbers[0][0] >= 500_000 else MIB if numbers[0][0] >= 400 else GIB) if plain else 1
    scale = {"t": GIB * 1024, "p": GIB * 1024**2, **_UNITS}
    return [int(number * scale.get(unit, usual)) for number, unit in numbers]


def read_card_table(text: str, label: str) -> tuple[list[GpuProcess], Quote | None]:
    """Return the programs of a table that has a column for the card's memory, and where it is."""
    if len(text) > _LONG or _CARD_COLUMN.search(text) is None:
        return [], None
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        cells = [cell for cell in _CELLS.split(line.strip().strip("|").strip()) if cell]
        column = next((at for at, cell in enumerate(cells) if _CARD_COLUMN.search(cell)), None)
        if column is None or column == 0 or len(line) > 400 or any(sign in line for sign in ("msg=", "MiB", ": ")):
            continue
        unit = match[1].lower() if (match := _UNIT.search(cells[column])) is not None else ""
        found = [
            one for row in lines[number : number + _MOST_ROWS] if (one := _program(row, len(cells), column, unit)) is not None
        ]
        if found:
            return found, Quote(f"{label}:{number + 1}", line.strip()[:200])
    return [], None


def _program(row: str, width: int, column: int, unit: str) -> GpuProcess | None:
    cells = [cell for cell in _CELLS.split(row.strip().strip("|").strip()) if cell]
    if len(cells) != width or not re.search(r"[^\W\d_]", cells[0]):
        return None
    match = _SIZE.match(cells[column])
    number = localized(match[1]) if match is not None else None
    if match is None or number is None:
        return None
    given = (match[2] or match[3] or unit or "").lower()
    size = number * _UNITS[given] if given else number * (1 if number >= 10_000_000 else MIB)
    return GpuProcess(cells[0], "", int(size))
