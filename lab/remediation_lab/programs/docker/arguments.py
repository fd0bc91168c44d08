"""Reading a docker command line: flags as the real CLI spells them, refused as it refuses them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


class Usage(Exception):  # becomes the CLI's own message
    """A command line that the CLI does not understand; `rc` is its exit code."""

    def __init__(self, text: str, rc: int = 125) -> None:
        super().__init__(text)
        self.text, self.rc = text, rc


@dataclass(slots=True)
class Given:
    """Flags (without dashes) with their values in order, and the remaining words."""

    flags: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Return whether one of the flags was given and not as ``=false``."""
        return any(self.flags.get(name, ["false"])[-1] != "false" for name in names)

    def one(self, *names: str, default: str = "") -> str:
        """Return the last value of a flag."""
        for name in names:
            if name in self.flags:
                return self.flags[name][-1]
        return default

    def all(self, *names: str) -> list[str]:
        """Return all values of a flag."""
        return [value for name in names for value in self.flags.get(name, ())]


def parse(words: Iterable[str], *, values: str = "", switches: str = "", stop: bool = False, rc: int = 125) -> Given:
    """Read flags; `values` and `switches` name those that are known, `stop` ends at the first word that is none. Raises Usage."""
    takes, bare = set(values.split()), set(switches.split())
    given, left = Given(), list(words)
    while left:
        word = left.pop(0)
        if word == "--" or not word.startswith("-") or word == "-":
            given.rest.extend([word] if word != "--" else [])
            if stop or word == "--":
                given.rest.extend(left)
                break
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("--") and name not in takes | bare and name[:1] in takes | bare:
            name, value, equals = name[0], name[1:], "="
            if name in bare:  # several switches in one word, like -aq
                left.insert(0, f"-{value}")
                value, equals = "", ""
        if name in takes:
            if not equals:
                if not left:
                    raise Usage(f"flag needs an argument: {word}", rc)
                value = left.pop(0)
            given.flags.setdefault(name, []).append(value)
        elif name in bare:
            given.flags.setdefault(name, []).append(value if equals else "true")
        else:
            kind = "unknown flag: --" if word.startswith("--") else f"unknown shorthand flag: '{name[:1]}' in -"
            raise Usage(f"{kind}{name}", rc)
    return given
