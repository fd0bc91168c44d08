"""A run as JUnit XML for a build server: a suite per host, a case per task."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from remediation.model.event import Event
from remediation.model.text.visible import visible
from remediation.report.host_view import BAD, IN_FLIGHT, UNKNOWN_WORD

NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot represent and that are not control characters: the non-characters."""


Case = tuple[Event, float]
"""The end of a task and its duration in seconds; of an unfinished task, its start."""


@dataclass
class _JunitRun:
    name: str = "run"
    suites: dict[str, list[Case]] = field(default_factory=dict)
    begun: dict[tuple[str, str], Event] = field(default_factory=dict)
    notes: dict[str, dict[str, None]] = field(default_factory=dict)

    def see(self, event: Event) -> None:
        if event.kind == "run_start":
            self.name = str(event.data.get("command") or self.name)
        elif event.kind == "task_start":
            self.begun[event.host, event.task] = event
        elif event.kind == "task_result":
            took = event.time - self.begun.pop((event.host, event.task), event).time
            self.suites.setdefault(event.host, []).append((event, max(0.0, took)))
        elif event.kind == "note" and event.host:
            self.notes.setdefault(event.host, {})[str(event.data.get("text", ""))] = None

    def cases(self) -> dict[str, list[Case]]:
        found = {host: list(cases) for host, cases in self.suites.items()}
        for (host, _), event in self.begun.items():
            found.setdefault(host, []).append((event, 0.0))
        return found


def junit(events: Iterable[Event]) -> str:
    """Return the XML. A failed task is a failure unless it was ignored; a skipped task is skipped.

    A task that was running when the run ended is an error. The notes of a host are properties of its suite.
    """
    run = _JunitRun()
    for event in events:
        run.see(event)
    root = ET.Element("testsuites", name=_text(run.name))
    for host, cases in run.cases().items():
        failures = sum(_is_failure(event) for event, _ in cases)
        errors = sum(event.kind == "task_start" for event, _ in cases)
        skipped = sum(event.data.get("outcome") == "skipped" for event, _ in cases)
        total = sum(took for _, took in cases)
        suite = ET.SubElement(
            root, "testsuite", name=_text(host), tests=str(len(cases)), failures=str(failures), errors=str(errors),
            skipped=str(skipped), time=f"{total:.3f}",
        )  # fmt: skip
        if host in run.notes:
            properties = ET.SubElement(suite, "properties")
            for note in run.notes[host]:
                ET.SubElement(properties, "property", name="note", value=_text(note))
        for event, took in cases:
            _case(suite, host, event, took)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, host: str, event: Event, took: float) -> None:
    case = ET.SubElement(suite, "testcase", classname=_text(f"{event.play}.{host}"), name=_text(event.task), time=f"{took:.3f}")
    reason = _text(str(event.data.get("reason") or event.data.get("msg") or ""))
    outcome = str(event.data.get("outcome", ""))
    if event.kind == "task_start":
        ET.SubElement(case, "error", type=UNKNOWN_WORD, message=IN_FLIGHT)
    elif _is_failure(event):
        ET.SubElement(case, "failure", type=outcome, message=reason).text = _text(str(event.data.get("next_step") or ""))
    elif outcome == "skipped":
        ET.SubElement(case, "skipped", message=reason)
    else:
        ET.SubElement(case, "system-out").text = f"{outcome}: {reason}" if reason else outcome


def _is_failure(event: Event) -> bool:
    return str(event.data.get("outcome")) in BAD and not event.data.get("ignored")


def _text(value: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", visible(value))
