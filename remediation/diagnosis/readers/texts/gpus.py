"""Vendor, generation and memory of a card from its description in words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from remediation.diagnosis.units import GIB, MIB, plain_sizes

_COUNT = re.compile(r"\b(\d{1,2})\s*(?:x|\u00d7)\s*(?=[A-Za-z0-9])", re.IGNORECASE)
_MEMORY = re.compile(r"(\d{1,3}(?:\.\d+)?|\d{4,6})\s?(GiB|GB|G|MiB|MB)\b", re.IGNORECASE)
_NVIDIA = re.compile(
    r"nvidia|geforce|dgx spark|\bgb10\b|\brtx\b|\bgtx\b|\bgt \d{3}\b|quadro|tesla|titan|jetson|orin|\b(?:rtx|gtx) ?\d{3,4}|(?<!\barc )(?<!\barc pro )\b(?-i:A(?:2|10G?|16|30|40|100|800|[2-6]000)|L(?:4|20|40S?)|[HB][12]00|H800|P(?:4|6|40|100|[2-6]000)|T(?:4|[46]00|1000)|V100|M(?:40|60))\b|\b[2345]0[5-9]0(?: ?ti)?\b",
    re.IGNORECASE,
)
_AMD = re.compile(
    r"\bamd\b|radeon|\brx ?\d{3,4}|gfx\d|instinct|\bmi\d{2,3}\b|vega|\bnavi|ryzen|\b[678]\d0m\b|strix|\brocm\b", re.IGNORECASE
)
_INTEL = re.compile(
    r"intel(?!(?:\(r\))?[ -]{0,2}(?:xeon|core|pentium|celeron|atom|cpu|processor|i[3579]\b|i?mac|based))|\barc\b|\biris\b|\buhd\b",
    re.IGNORECASE,
)
_APPLE = re.compile(r"\bapple\b|\bm[1-5](?: ?(?:pro|max|ultra))?\b|macos|\bmac\b|macbook", re.IGNORECASE)
_QUALCOMM = re.compile(r"qualcomm|adreno|snapdragon", re.IGNORECASE)
# NVIDIA cards below compute capability 5.0 (Kepler, Fermi and older; facts/ollama 6: minimum 5.0)
_ANCIENT = re.compile(
    r"\b(?:gtx|gt) ?(?:[4-6]\d0|7[0-3]0|760|770|780)(?:m|\b)|quadro (?:k|fx |[4-6]000\b|[nN]vs)|\bnvs \d|tesla (?:k\d|[cm]20\d\d)|\bk(?:10|20|40|80)\b|grid k[12]",
    re.IGNORECASE,
)
# compute capability by family (NVIDIA's list of CUDA GPUs), newest first
_CAPABILITIES: tuple[tuple[float, str], ...] = (
    (12.0, r"\b(?:rtx )?50[5-9]0\b|rtx pro [2-6]000 blackwell|blackwell"),
    (10.0, r"\bg?b[23]00\b"), (9.0, r"\bg?h[12]00\b"), (8.9, r"\b(?:rtx )?40[5-9]0\b|\bl(?:4|40s?)\b|\bada\b"),
    (8.6, r"\b(?:rtx )?30[5-9]0\b|\brtx a[2-6]000\b|\ba(?:2|10g?|16|40)\b"), (8.0, r"\ba(?:30|100|800)\b"),
    (7.5, r"\b(?:rtx )?20[6-8]0\b|\bgtx ?16[356]0|\bt4\b|\bt[46]00\b|\bt1000\b|quadro rtx|titan rtx|\bmx[45]50\b"),
    (7.0, r"\bv100s?\b|titan v\b"),
    (6.1, r"\bgtx ?10[1-8]0|\b10[5-8]0 ?ti\b|\bgt ?1030\b|\bp(?:4|40)\b|quadro p\d{3,4}|\bp[1-6]000\b|titan x[p ]|\bmx[123][1-5]0\b|\bp1?06-100\b"),
    (6.0, r"\bp100\b"), (5.2, r"\bgtx ?9[5-8]0|\bm(?:4|40|60)\b|titan x\b|quadro m[2-6]000"), (5.0, r"\bgtx ?(?:745|750|8[4-6]0m|9[3-6]0m)|quadro m\d{3,4}\b|\bm10\b"),
)  # fmt: skip
_STATED = re.compile(r"capability[^\d\n]{0,40}(\d{1,2}\.\d)\b|capability sm_(\d{2,3})\b", re.IGNORECASE)
# GB of dedicated memory by model, where each model was sold with one size only
_SIZES: tuple[tuple[str, int], ...] = (
    ("rtx pro 6000", 96), ("6000 ada", 48), ("5000 ada", 32), ("4000 ada", 20), ("titan rtx", 24), ("titan [xv]", 12), ("titan xp", 12),
    ("5090", 32), ("5080", 16), ("5070 ti", 16), ("5070", 12), ("4090", 24), ("4080", 16), ("4070 ti super", 16), ("4070", 12), ("4060(?! ?ti)", 8),
    ("3090", 24), ("3080 ti", 12), ("3080", 10), ("3070", 8), ("3060 ti", 8), ("3060", 12), ("2080 ti", 11), ("2080", 8), ("2070", 8), ("2060(?! super)", 6),
    ("1080 ti", 11), ("1080", 8), ("1070", 8), ("1660", 6), ("1650", 4), ("1050 ti", 4), ("980 ti", 6), ("980", 4), ("970", 4),
    ("a6000", 48), ("a5000", 24), ("a4500", 20), ("a4000", 16), ("l40s?", 48), ("l4", 24), ("a40", 48), ("a10g", 24), ("a10", 24), ("a30", 24), ("a2", 16),
    ("t4", 16), ("p40", 24), ("p100", 16), ("p4", 8), ("m60", 8), ("m10", 8), ("k80", 12),
    ("7900 xtx", 24), ("7900 xt", 20), ("7900 gre", 16), ("7800 xt", 16), ("7700 xt", 12), ("7600 xt", 16), ("7600", 8), ("9070", 16), ("6950 xt", 16), ("6900 xt", 16),
    ("6800", 16), ("6750 xt", 12), ("6700 xt", 12), ("6650 xt", 8), ("6600", 8), ("5700", 8), ("radeon vii", 16), ("arc b580", 12), ("arc a750", 8), ("arc a380", 6),
)  # fmt: skip

# the cards of laptops, some of which have less than those of desktops
_LAPTOP_SIZES: tuple[tuple[str, int], ...] = (
    ("5090", 24), ("5080", 16), ("5070 ti", 12), ("5070", 8), ("5060", 8), ("4090", 16), ("4080", 12), ("4070", 8), ("4060", 8), ("4050", 6),
    ("3080 ti", 16), ("3070", 8), ("3060", 6), ("3050 ti", 4), ("2080", 8), ("2070", 8), ("2060", 6), ("1660", 6), ("1650", 4), ("1050 ti", 4),
)  # fmt: skip
_LAPTOP = r"[^\n,;|]{0,24}(?:laptop|mobile|max-?q|notebook)"


@dataclass(frozen=True, slots=True)
class GpuText:
    """Vendors named in a text and the memory of the first card (bytes), all cards together in ``total``."""

    nvidia: bool = False
    amd: bool = False
    intel: bool = False
    apple: bool = False
    qualcomm: bool = False
    ancient: bool = False
    memory: int | None = None
    count: int = 1
    available_only: bool = False

    @property
    def total(self) -> int | None:
        """Memory of all cards."""
        return None if self.memory is None else self.memory * self.count

    @property
    def named(self) -> bool:
        """Whether any vendor is named."""
        return self.nvidia or self.amd or self.intel or self.apple or self.qualcomm


def read_gpu(text: str | None) -> GpuText:
    """Return what a description of the hardware says."""
    if not text:
        return GpuText()
    text = plain_sizes(text)
    sizes = [_bytes(match[1], match[2]) for match in _MEMORY.finditer(text)]
    count = _COUNT.search(text)
    memory = next((size for size in sizes if size >= GIB), None)
    if memory is None:
        memory = _by_name(text.lower())
    return GpuText(
        nvidia=bool(_NVIDIA.search(text)),
        amd=bool(_AMD.search(text)),
        intel=bool(_INTEL.search(text)),
        apple=bool(_APPLE.search(text)),
        qualcomm=bool(_QUALCOMM.search(text)),
        ancient=bool(_ANCIENT.search(text)),
        memory=memory,
        count=int(count[1]) if count else 1,
        available_only="available" in text.lower() or "free" in text.lower(),
    )


def _by_name(low: str) -> int | None:
    """Return the memory of the first card named in a text, None where its model was sold with several sizes."""
    laptop = [(name, size) for name, size in _LAPTOP_SIZES if re.search(rf"\b{name}(?: ?super)?\b{_LAPTOP}", low)]
    known = laptop or [(name, size) for name, size in _SIZES if re.search(rf"\b{name}\b(?!{_LAPTOP})", low)]
    return known[0][1] * GIB if known else None


def capability(text: str) -> float | None:
    """Return the compute capability that a text states, else that of the NVIDIA card it names; None where it does neither."""
    low = text.lower()
    if (stated := _STATED.search(low)) is not None:
        return float(stated[1]) if stated[1] else int(stated[2]) / 10
    return next((number for number, names in _CAPABILITIES if re.search(names, low)), None)


_CARD_SIZE = re.compile(
    r"(?<![<>=] )(?<![<>=\d])(\d{1,3}(?:\.\d{1,2})?)\s?(GiB|GB|G)\b (?:of )?(?:vram|video memory|gpu memory|card|gpu|graphics)",
    re.IGNORECASE,
)


def card_size(text: str) -> int | None:
    """Return the memory of a card that a sentence names as such ("a 24 GiB card"), None where none does."""
    match = _CARD_SIZE.search(plain_sizes(text))
    return _bytes(match[1], match[2]) if match else None


def _bytes(number: str, unit: str) -> int:
    # cards are sold in GB that are GiB
    return int(float(number) * (MIB if unit[0] in "mM" else GIB))
