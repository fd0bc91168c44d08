"""``python -m remediation.diagnosis.knowledge > docs/mechanisms.md``: the page of all mechanisms."""

from __future__ import annotations

import sys

from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.explain import explain_rows

_HEAD = """# Mechanisms

What may be wrong, in concrete terms, with how it shows and what cures it. Search this page for a message, a variable or a
symptom; `remediate explain MECHANISM` prints one entry. The page is written by
`python -m remediation.diagnosis.knowledge > docs/mechanisms.md` from `remediation/diagnosis/knowledge/*.yml`.
"""


def mechanisms_page() -> str:
    """Return the Markdown page."""
    by_cause: dict[str, list[str]] = {}
    for entry in knowledge().mechanisms.values():
        text = [f"### {entry.id}", "", f"{entry.title[0].upper()}{entry.title[1:]}.", ""]
        for heading, rows in explain_rows(entry)[2:]:
            text += [f"- {heading}: {rows[0]}"] if len(rows) == 1 else [f"- {heading}:", *(f"  - {row}" for row in rows)]
        by_cause.setdefault(str(entry.cause), []).append("\n".join(text))
    return "\n".join([_HEAD, *(f"## {cause}\n\n" + "\n\n".join(entries) + "\n" for cause, entries in by_cause.items())])


if __name__ == "__main__":
    sys.stdout.write(mechanisms_page())
