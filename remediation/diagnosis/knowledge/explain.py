"""One mechanism in words: what it is, how it shows, what cures it, how to confirm it, and where that is from."""

from __future__ import annotations

from remediation.diagnosis.facts.names import FACTS
from remediation.diagnosis.facts.words import WORDS
from remediation.diagnosis.knowledge.schema import Atom, Entry, parse_condition
from remediation.diagnosis.readers.logs.messages import MESSAGES
from remediation.model.translation import gettext, translatable, translated

_WEIGHTS = (
    ("proves", translatable("it is proven where")),
    ("supports", translatable("it is likely where")),
    ("against", translatable("it is unlikely where")),
    ("excludes", translatable("it is excluded where")),
)


def meaning(name: str) -> str:
    """Return what a fact means, in the language."""
    if name in FACTS:
        return gettext(FACTS[name])
    if name in WORDS:
        return gettext("the report says: {meaning}", meaning=gettext(WORDS[name][0]))
    if name.startswith("cuda."):
        return gettext("CUDA gives error {code}", code=name[5:])
    if name.startswith("seen."):
        return gettext("a message of the catalogue says so ({key})", key=name[5:])
    needle = next((one[1] for one in MESSAGES if one[0] == name.removeprefix("msg.")), name)
    return gettext("a message is seen such as “{needle}” ({key})", needle=needle, key=name.removeprefix("msg."))


def condition(text: str) -> str:
    """Return a condition in words, in the language."""
    return gettext("; or ").join(gettext(", and ").join(_atom(atom) for atom in side) for side in parse_condition(text))


def _atom(atom: Atom) -> str:
    words = meaning(atom.name)
    if atom.sign == "!":
        return gettext("not: {meaning}", meaning=words)
    return gettext("not known: {meaning}", meaning=words) if atom.sign else words


def explain_rows(entry: Entry) -> list[tuple[str, list[str]]]:
    """Return the entry as headings with their rows, in the language. The headings are messages."""
    rows: list[tuple[str, list[str]]] = [(translatable("cause"), [str(entry.cause)]), ("what", [translated(entry.title)])]
    rows += [
        (heading, [condition(one) for one in dict.fromkeys(getattr(entry, name))])
        for name, heading in _WEIGHTS
        if getattr(entry, name)
    ]
    rows.append(
        (translatable("cure"), [translated(entry.cure), *(f"{name}: {translated(words)}" for name, words in entry.on.items())])
    )
    rows.append(
        (translatable("performed by"), [entry.step]) if entry.step else (translatable("by hand"), [translated(entry.by_hand)])
    )
    return [*rows, (translatable("confirm"), [translated(entry.confirm)]), (translatable("sources"), list(entry.sources))]
