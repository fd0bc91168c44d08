"""The findings of a diagnosis, as lines of a host's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from remediation.model.event import Event
from remediation.model.translation import gettext, translated
from remediation.report.formatting import layers
from remediation.report.text import Line, below, labelled_line, shorten

NAME = 24
"""Column width of the name of a cause or step."""

_LEAST = 0.1
"""Less likely causes are printed only with -v."""

QUOTE = 180
"""Maximum length of a quoted log line."""


class FindingsView(Protocol):
    """The attributes of a host's page that the findings use (`remediation.report.host_view.HostView`)."""

    verbose: bool
    goal_text: str
    causes: list[tuple[str, float]]
    predicted: str
    printed: set[str]

    def works(self, event: Event, what: str) -> None:
        """Set the text of the live line."""


def findings(page: FindingsView, event: Event) -> list[Line]:
    """Return the findings with their proof, the ruled-out causes, and notable settings; most of it only with -v."""
    page.works(event, gettext("choosing the remedy"))
    diagnosis = event.data.get("diagnosis") or {}
    found = diagnosis.get("findings") or []
    page.causes = [(str(item["cause"]), float(item["confidence"])) for item in found]
    if diagnosis.get("predicted"):
        page.predicted = gettext("{layers} layers", layers=layers(diagnosis["predicted"]))
    lines: list[Line] = []
    need = _news(str(diagnosis.get("need") or ""), page)
    if need:
        lines.append(below(translated(need)))
    for item in (
        found
        if page.verbose
        else [one for number, one in enumerate(found[:3]) if not number or float(one["confidence"]) >= _LEAST]
    ):
        head = f"{item['cause']} {float(item['confidence']):.2f}"
        label = gettext("found") if item is found[0] else ""
        lines.append(_label_line(label, head, translated(str(item.get("because", "")))))
        quotes = item.get("quotes") or []
        lines += [_quote(quote) for quote in (quotes if page.verbose else quotes[:2])]
        if item is found[0] and item.get("mechanism"):
            lines.append(below(f"{item['mechanism']} (remediate explain {item['mechanism']})", style="dim"))
    if not found:
        lines.append(labelled_line(gettext("found"), gettext("nothing proven")))
    lines += _settings(diagnosis.get("settings") or [])
    ruled_out = diagnosis.get("ruled_out") or []
    if ruled_out:
        text = " · ".join(f"{item['cause']} ({translated(str(item['because']))})" for item in ruled_out)
        lines.append(labelled_line(gettext("ruled out"), text, style="dim", most=0 if page.verbose else 3))
    return lines


def _news(need: str, page: FindingsView) -> str:
    """Return the part of the explanation that the page does not show yet: the goal's text may contain the need."""
    known = page.goal_text.partition("needs ")[1]
    first, _, rest = need.partition("; ")
    news = rest if known else "; ".join(filter(None, (first, rest)))
    fresh = "" if news in page.printed else news
    page.printed.add(news)
    return fresh


def _label_line(label: str, name: str, text: str, style: str = "") -> Line:
    line = labelled_line(label, text, style=style)
    return Line(text, lead=f"{line.lead}{name:{NAME}}" if len(name) < NAME else f"{line.lead}{name}  ", style=style)


def _quote(quote: Mapping[str, Any]) -> Line:
    return below(shorten(f"{quote.get('where')}: {quote.get('text')}", QUOTE), style="dim", more=NAME)


def _settings(settings: Sequence[Mapping[str, Any]]) -> list[Line]:
    lines = []
    for verdict in dict.fromkeys(str(item.get("verdict", "")) for item in settings):
        reasons: dict[str, list[str]] = {}
        for item in settings:
            if item.get("verdict") == verdict:
                reasons.setdefault(str(item.get("because", "")), []).append(f"{item.get('name')}={item.get('value')}")
        for because, names in reasons.items():
            left = f" ({gettext('left alone')})" if verdict == "dead" else ""
            text = f"{', '.join(names)}: {translated(because)}{left}"
            lines.append(_label_line("", gettext("{verdict} settings", verdict=gettext(verdict)), text))
    return lines
