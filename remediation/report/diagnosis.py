"""``diagnose``: the findings of one incident, with the lines that prove them, the cure, and the ruled-out causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediation.model.translation import gettext, translated
from remediation.report.formatting import UNKNOWN, before_after, layers, sentences, table
from remediation.report.text import Line, shorten

NAME = 32
INDENT = 3
QUOTE = 240
MOST = 3
"""How many findings are shown without ``verbose``."""
LEAST, GUESS, SURE = 0.1, 0.5, 0.8
UNPROVEN = "unknown"
"""The cause of an answer without a proven one."""


def diagnosis_lines(incident: str, diagnosis: Mapping[str, Any], *, target: str = "", verbose: bool = False) -> list[Line]:
    """Return the page of one incident from a diagnosis as JSON (`remediation.model.finding.Diagnosis`)."""
    lines = [Line(target, lead=f"{incident}  ", style="head")]
    every = diagnosis.get("findings") or []
    findings = every if verbose else [one for number, one in enumerate(every[:MOST]) if not number or _matters(one, every[0])]
    for finding in findings:
        lines += _finding(finding, verbose=verbose)
    if not findings:
        lines.append(Line(gettext("the evidence proves no cause"), lead=f"{gettext('unknown'):{NAME}}"))
    if diagnosis.get("need"):
        lines.append(_part(gettext("so"), translated(str(diagnosis["need"]))))
    if diagnosis.get("offloaded"):
        lines.append(
            _part(
                gettext("layers"), gettext("{layers} on the GPU according to the server", layers=layers(diagnosis["offloaded"]))
            )
        )
    if diagnosis.get("predicted"):
        lines.append(
            _part(gettext("fits"), gettext("{layers} according to the memory model", layers=layers(diagnosis["predicted"])))
        )
    if diagnosis.get("measured"):
        lines += _measured_lines(diagnosis["measured"])
    for setting in diagnosis.get("settings") or []:
        text = f"{setting['name']}={setting['value']} {gettext(setting['verdict'])}: {translated(str(setting['because']))}"
        lines.append(_part(gettext("setting"), text))
    lines += [
        _part(gettext("sender"), f"{translated(str(one['who']))}: {one['where']}  {one['text']}")
        for one in _senders(diagnosis, verbose=verbose)
    ]
    collect = [str(item) for item in diagnosis.get("collect") or []]
    cures = _cures(findings)
    if not verbose and findings and float(findings[0]["confidence"]) >= SURE:
        cures = cures[:1]  # one fix at a time, then diagnose again
    lines += [line for cure in cures for line in _cure_lines(cure)]
    lines += [
        _part(gettext("confirm"), translated(str(one["confirm"])), indent=1)
        for one in findings[:1]
        if one.get("confirm") and (float(one["confidence"]) >= GUESS or one["cause"] == UNPROVEN)
    ]
    ruled_out = [item for item in diagnosis.get("ruled_out") or [] if item["cause"] != "healthy" or verbose]
    if ruled_out:
        text = " · ".join(f"{item['cause']} ({translated(str(item['because']))})" for item in ruled_out)
        lines.append(_part(gettext("not"), text, indent=1, most=0 if verbose else 4))
    lines += [_part(gettext("collect"), translated(item), indent=1) for item in collect]
    lines += [_part(gettext("note"), translated(str(item)), indent=1) for item in diagnosis.get("notes") or []]
    return lines


def _cures(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the cures, each once: that of an unknown cause holds those of the likeliest causes."""
    cures: list[str] = []
    for cure in (str(finding.get("cure") or "") for finding in findings):
        if not any(cure.rstrip(".") in shown for shown in cures):
            cures.append(cure)
    return cures


def _cure_lines(cure: str) -> list[Line]:
    """Return the lines of a cure; text to be copied has its own rows."""
    first, *rest = translated(cure).split("\n")
    return [_part(gettext("cure"), first, indent=1), *(Line(row, lead=" " * 11, verbatim=True, whole=True) for row in rest)]


def _measured_lines(figures: Mapping[str, Any]) -> list[Line]:
    """Return the figures measured with the loaded model, and the reason if they are incomplete."""
    rows = [row for row in before_after(None, figures) if row.after != UNKNOWN]
    simulated = bool(figures.get("simulated"))
    wide, narrow = ("\n".join(form(rows, simulated=simulated, single="now")) for form in (table, sentences)) if rows else ("", "")
    measured = [Line(wide, lead=" " * INDENT, verbatim=True, narrow=narrow)] if rows else []
    reason = [_part(gettext("asked"), translated(str(figures["reason"])))] if figures.get("reason") else []
    return [*measured, *reason]


def _matters(finding: Mapping[str, Any], first: Mapping[str, Any]) -> bool:
    """Return whether a finding other than the first is worth showing: a proven cause needs no guesses next to it."""
    return float(finding["confidence"]) >= GUESS or float(first["confidence"]) < SURE


def _senders(diagnosis: Mapping[str, Any], *, verbose: bool) -> list[Mapping[str, Any]]:
    """Return the clients that request few layers; clients without a known request only if there are no others."""
    every = list(diagnosis.get("senders") or [])
    asking = [one for one in every if one["value"] is not None]
    return every if verbose else (asking or every)[:MOST]


def _finding(finding: Mapping[str, Any], *, verbose: bool) -> list[Line]:
    head = f"{finding['cause']!s:{NAME}} {float(finding['confidence']):.2f}   "
    lines = [Line(translated(str(finding.get("because", ""))), lead=head, style="head")]
    quotes = finding.get("quotes") or []
    quoted = list(dict.fromkeys(_quote_text(quote, verbose=verbose) for quote in (quotes if verbose else quotes[:3])))
    lines += [Line(text, lead=" " * INDENT, style="dim") for text in quoted]
    if finding.get("mechanism"):
        others = (
            f"; {gettext('also weighed: {mechanisms}', mechanisms=', '.join(finding['weighed']))}"
            if finding.get("weighed") and verbose
            else ""
        )
        lines.append(_part(gettext("is"), f"{finding['mechanism']} (remediate explain {finding['mechanism']}){others}"))
    return lines


def _quote_text(quote: Mapping[str, Any], *, verbose: bool) -> str:
    text = f"{quote['where']}  {quote['text']}"
    return text if verbose else shorten(text, QUOTE)


def _part(label: str, text: str, *, indent: int = INDENT, most: int = 0) -> Line:
    return Line(text, lead=f"{'':{indent}}{label:7} ", most=most)
