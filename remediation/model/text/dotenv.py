"""Settings in the text of an ``.env`` file, as Compose reads it."""

from __future__ import annotations

import re

_LINE = re.compile(
    r"^(?P<before>[^\S\r\n]{0,200}(?:export\s{1,200})?(?P<name>[A-Za-z_]\w{0,400})\s{0,200}=\s{0,200})(?P<value>'[^']*'|\"(?:[^\"\\]|\\.)*\"|[^\r\n]*?)(?P<after>(?:[^\S\r\n]{1,200}#[^\r\n]*)?)$"
)
_PLAIN = re.compile(r"^[\w./:@%+,-]*$")


def dotenv_settings(text: str) -> dict[str, str]:
    """Return the settings by name. The last definition wins; quotes are removed."""
    found = (_LINE.match(line) for line in text.splitlines())
    return {match["name"]: _bare(match["value"]) for match in found if match is not None}


def with_dotenv_setting(text: str, name: str, value: str) -> str:
    """Return the text with the last definition of a setting replaced, or the setting appended."""
    lines = text.splitlines(keepends=True)
    written = (
        value
        if _PLAIN.match(value)
        else "'" + value + "'"
        if "'" not in value
        else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
    for number in range(len(lines) - 1, -1, -1):
        body = lines[number].rstrip("\r\n")
        match = _LINE.match(body)
        if match is not None and match["name"] == name:
            lines[number] = f"{match['before']}{written}{match['after']}{lines[number][len(body) :]}"
            return "".join(lines)
    line_end = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        text += line_end
    return f"{text}{name}={written}{line_end}"


def _bare(value: str) -> str:
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\") if text[0] == '"' else text[1:-1]
    return text
