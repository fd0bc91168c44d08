"""One mechanism in words: what it is, how it shows, what cures it, how to confirm it, and where that is from."""

from __future__ import annotations

from remediation.diagnosis.facts.names import FACTS
from remediation.diagnosis.facts.words import WORDS
from remediation.diagnosis.knowledge.schema import Entry, parse_condition
from remediation.diagnosis.readers.logs.messages import MESSAGES
from remediation.model.translation import translatable

_WEIGHTS = (
    ("proves", translatable("it is proven where")),
    ("supports", translatable("it is likely where")),
    ("against", translatable("it is unlikely where")),
    ("excludes", translatable("it is excluded where")),
)


def meaning(name: str) -> str:
    """Return what a fact means."""
    if name in FACTS:
        return FACTS[name]
    if name in WORDS:
        return f"the report says: {WORDS[name][0]}"
    if name.startswith("cuda."):
        return f"CUDA gives error {name[5:]}"
    if name.startswith("seen."):
        return f"a message of the catalogue says so ({name[5:]})"
    needle = next((one[1] for one in MESSAGES if one[0] == name.removeprefix("msg.")), name)
    return f"a message is seen such as “{needle}” ({name.removeprefix('msg.')})"


def condition(text: str) -> str:
    """Return a condition in words."""
    no = {"": "", "!": "not: ", "~": "not known: "}
    return "; or ".join(", and ".join(no[atom.sign] + meaning(atom.name) for atom in side) for side in parse_condition(text))


def explained(entry: Entry) -> list[tuple[str, list[str]]]:
    """Return the entry as headings with their rows."""
    rows: list[tuple[str, list[str]]] = [(translatable("cause"), [str(entry.cause)]), ("what", [entry.title])]
    rows += [
        (heading, [condition(one) for one in dict.fromkeys(getattr(entry, name))])
        for name, heading in _WEIGHTS
        if getattr(entry, name)
    ]
    rows.append((translatable("cure"), [entry.cure, *(f"{name}: {words}" for name, words in entry.on.items())]))
    rows.append((translatable("performed by"), [entry.step]) if entry.step else (translatable("by hand"), [entry.by_hand]))
    return [*rows, (translatable("confirm"), [entry.confirm]), (translatable("sources"), list(entry.sources))]
