"""``python -m remediation.diagnosis.catalogue``: how many messages of which project and releases are known."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from remediation.diagnosis.catalogue import Message, catalogue, facts
from remediation.model.text.visible import visible
from remediation.model.text.words import plural

_COLUMNS = "{:<26} {:>8} {:>7} {:>10} {:>6} {:>7}  {}\n"


def _order(release: str) -> list[int]:
    return [int(part) for part in release.partition("-")[0].split(".")]


def releases(messages: Sequence[Message]) -> str:
    """Return the range of releases that print the messages, as ``0.1.20 .. today``."""
    first = min((message.first for message in messages if message.first), key=_order, default="?")
    if any(message.last is None for message in messages):
        return f"{first} .. today"
    return f"{first} .. {max((message.last for message in messages if message.last), key=_order)}"


def counts(messages: Iterable[Message]) -> str:
    """Return one line per project and one for all of them."""
    by_project: dict[str, list[Message]] = {}
    for message in messages:
        by_project.setdefault(message.project, []).append(message)
    lines = [_COLUMNS.format("project", "messages", "mapped", "mechanisms", "facts", "benign", "releases")]
    for project, own in sorted(by_project.items()):
        lines.append(_line(project, own, releases(own)))
    everything = [message for own in by_project.values() for message in own]
    lines.append(
        _line(
            "all",
            everything,
            f"{plural(len({one.means for one in everything if one.means}), 'meaning')}, {len(facts())} of them facts",
        )
    )
    return "".join(lines)


def _line(name: str, messages: Sequence[Message], span: str) -> str:
    mapped = [message for message in messages if message.means]
    to_facts = sum(message.is_fact for message in mapped)
    return _COLUMNS.format(name, len(messages), len(mapped), len(mapped) - to_facts, to_facts, len(messages) - len(mapped), span)


if __name__ == "__main__":
    sys.stdout.write(visible(counts(catalogue().messages)))
