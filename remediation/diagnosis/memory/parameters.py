"""How many parameters a model has, and how large its weights are about, by its name."""

from __future__ import annotations

import re

_BILLIONS = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d)?)\s?b(?![a-z0-9])", re.IGNORECASE)
_EXPERTS = re.compile(r"(?<!\d)(\d{1,2})x(\d{1,3})b", re.IGNORECASE)
_KNOWN = tuple(
    (re.compile(rf"(?<![\w.-])(?:{names})(?![\w.-]*:?\d+(?:\.\d+)?x?\d*b\b)(?![\w])", re.IGNORECASE), billions)
    for names, billions in (
        (r"deepseek-(?:v3(?:\.\d)?|v2\.5)|deepseek-r1-671", 236), (r"llama-?4(?::scout|-scout)?", 109), (r"mistral-large|command-r-plus", 104), (r"dolphin-?mixtral|nous-hermes2-mixtral|mixtral", 47),
        (r"llama-?3\.3|nemotron|reflection", 70), (r"qwq|command-r|aya-expanse", 32), (r"codestral|solar-pro|mistral-small|devstral|magistral", 22), (r"mistral-nemo", 12), (r"llama-?3\.2-vision", 10),
    )
)  # fmt: skip
"""Billions of parameters of models whose names do not say them, at least; the largest first."""


def parameter_billions(text: str) -> float:
    """Return the largest number of parameters, in billions, that a text names or that the name of a model in it stands for; 0 for none."""
    billions = max((float(match) for match in _BILLIONS.findall(text)), default=0.0)
    if (experts := _EXPERTS.search(text)) is not None:
        billions = max(billions, int(experts[1]) * int(experts[2]) * 0.85)
    return billions or next((float(known) for pattern, known in _KNOWN if pattern.search(text)), 0.0)


def names_several_sizes(text: str) -> bool:
    """Whether a text names models of clearly different numbers of parameters."""
    named = {float(match) for match in _BILLIONS.findall(text)}
    return bool(named) and max(named) > 2 * min(named)


def usual_weights(name: str) -> int | None:
    """Return the approximate size of the weights by the parameters in the model's name, None if it has none."""
    experts = _EXPERTS.search(name)
    billions = max((float(match) for match in _BILLIONS.findall(name)), default=None)
    billions = int(experts[1]) * int(experts[2]) * 0.85 if experts else billions  # they share their attention
    low = name.lower()
    bits = 16 if re.search(r"fp?16|bf16", low) else 8.5 if "q8" in low else 6.6 if "q6" in low else 5.0
    return None if billions is None else int(billions * 1e9 * bits / 8)
