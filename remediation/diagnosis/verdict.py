"""A diagnosis in words for people (cause, proof, cure, what was ruled out), at most 100 columns of structure."""

from __future__ import annotations

from remediation.model.finding import Diagnosis

_QUOTE = 220
_LEAST = 0.1


def verdict(diagnosis: Diagnosis) -> str:
    """Return the verdict as plain text."""
    lines = []
    for number, one in enumerate(diagnosis.findings[:3]):
        if number and one.confidence < _LEAST:
            continue
        lines.append(f"{one.cause}   {one.confidence:.2f}   {one.because}")
        lines += [f"   {quote.where}   {quote.text[:_QUOTE]}" for quote in one.quotes[:3]]
        if one.mechanism and not number:
            lines.append(f" is     {one.mechanism}")
        if one.cure and not number:
            lines.append(f" cure   {one.cure}")
    if diagnosis.offloaded:
        lines.append(f" layers {diagnosis.offloaded[0]}/{diagnosis.offloaded[1]}")
    if diagnosis.need:
        lines.append(f" memory {diagnosis.need}")
    lines += [f" {one.verdict:6} {one.name}={one.value}: {one.because}" for one in diagnosis.settings]
    if diagnosis.ruled_out:
        lines.append(" not    " + " · ".join(f"{one.cause} ({one.because})" for one in diagnosis.ruled_out))
    if diagnosis.collect:
        lines.append(" next   " + "; ".join(diagnosis.collect))
    lines += [f" note   {note}" for note in diagnosis.notes]
    return "\n".join(lines)
