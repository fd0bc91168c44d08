"""A run as JUnit XML, for a build server: a suite for each host, a case for each task."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from remediation.model.event import Event
from remediation.model.visible import visible
from remediation.report.page import BAD

NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no form for and that are no control characters: the non-characters."""


def junit(events: Iterable[Event]) -> str:
    """Return the XML. A task that did not come to a good end is a failure, unless it was ignored; a skipped one is skipped."""
    suites: dict[str, list[tuple[Event, float]]] = {}
    began: dict[tuple[str, str], float] = {}
    name = "run"
    for event in events:
        if event.kind == "run_start":
            name = str(event.data.get("command") or name)
        elif event.kind == "task_start":
            began[event.host, event.task] = event.time
        elif event.kind == "task_result":
            took = event.time - began.get((event.host, event.task), event.time)
            suites.setdefault(event.host, []).append((event, max(0.0, took)))
    root = ET.Element("testsuites", name=_text(name))
    for host, cases in suites.items():
        failures = sum(_failed(event) for event, _ in cases)
        skipped = sum(event.data.get("outcome") == "skipped" for event, _ in cases)
        total = sum(took for _, took in cases)
        suite = ET.SubElement(
            root, "testsuite", name=_text(host), tests=str(len(cases)), failures=str(failures), errors="0",
            skipped=str(skipped), time=f"{total:.3f}",
        )  # fmt: skip
        for event, took in cases:
            case = ET.SubElement(
                suite, "testcase", classname=_text(f"{event.play}.{host}"), name=_text(event.task), time=f"{took:.3f}"
            )
            reason = _text(str(event.data.get("reason") or event.data.get("msg") or ""))
            outcome = str(event.data.get("outcome", ""))
            if _failed(event):
                ET.SubElement(case, "failure", type=outcome, message=reason).text = _text(str(event.data.get("next_step") or ""))
            elif outcome == "skipped":
                ET.SubElement(case, "skipped", message=reason)
            else:
                ET.SubElement(case, "system-out").text = f"{outcome}: {reason}" if reason else outcome
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _failed(event: Event) -> bool:
    return str(event.data.get("outcome")) in BAD and not event.data.get("ignored")


def _text(value: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", visible(value))
