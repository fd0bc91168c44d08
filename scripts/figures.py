"""Measure the code base: ``python scripts/figures.py``, from anywhere in a checkout. CONTRIBUTING.md has the goals.

Import cycles and layers are measured by ``lint-imports``, coverage by coverage.py.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "playbooks")
NOQA = re.compile(r"#\s*noqa\b", re.IGNORECASE)
AVOIDED = re.compile(
    r"\b(?:told|anew|somebody|nobody|anybody|whoever|whatever|wherever|unheard|foretell|likewise|as far as|by itself|in vain|all the same"
    r"|(?:is|are|was|were|be|been) (?:asked|wanted|meant)|asked for|of its own|beside(?! a ))\b",
    re.IGNORECASE,
)
"""Words that translated prose uses where the documentation of httpx or Ansible has a standard term. Mend the sentence."""


def modules(folder: Path) -> list[Path]:
    """Return the Python files below `folder`."""
    return sorted(folder.rglob("*.py"))


def lines(paths: Iterable[Path]) -> int:
    """Return how many lines the files have together."""
    return sum(path.read_text("utf-8").count("\n") for path in paths)


def suppressions(paths: Iterable[Path]) -> list[str]:
    """Return ``FILE:LINE`` of every comment that switches a rule of the linter off."""
    return [
        f"{path}:{token.start[0]}"
        for path in paths
        for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
        if token.type == tokenize.COMMENT and NOQA.match(token.string)
    ]


def shared_names(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Return the classes and public functions of which two modules define one, with their files."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and not node.name.startswith("_")):
                found[node.name].append(str(path))
    return {name: files for name, files in found.items() if len(files) > 1}


def prose(path: Path) -> Iterator[str]:
    """Yield the lines that people read: of Markdown and YAML all, of Python the comments and strings."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        yield from (re.sub(r"`[^`]+`", "``", line) for line in text.splitlines())  # names in code are no prose
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            yield from token.string.splitlines()


def avoided_words(paths: Iterable[Path]) -> float:
    """Return how many avoided words 1,000 lines of prose contain."""
    read = [line for path in paths for line in prose(path)]
    return 1000 * sum(len(AVOIDED.findall(line)) for line in read) / max(1, len(read))


def documents() -> Iterator[Path]:
    """Yield the documents of the repository; ``docs/steps.md`` and ``docs/mechanisms.md`` are generated from code and data."""
    for name in DOCUMENTS:
        path = ROOT / name
        found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in {".md", ".yml"})
        yield from (file for file in found if file not in {ROOT / "docs/steps.md", ROOT / "docs/mechanisms.md"})


def figures() -> dict[str, str]:
    """Return every figure by its name."""
    source, lab, tests = modules(ROOT / "remediation"), modules(ROOT / "lab"), modules(ROOT / "tests")
    own_tests = [path for path in tests if path.relative_to(ROOT).parts[1] != "lab"]
    return {
        "lines in remediation/": f"{lines(source):,} in {len(source)} modules",
        "lines in lab/": f"{lines(lab):,} in {len(lab)} modules",
        "tests : source, without the lab": f"{lines(own_tests) / lines(source):.2f}",
        "noqa comments": str(len(suppressions([*source, *lab, *tests]))),
        "shared names": str(len(shared_names(source))),
        "avoided words per 1,000 lines, code": f"{avoided_words([*source, *lab]):.1f}",
        "avoided words per 1,000 lines, documents": f"{avoided_words(documents()):.1f}",
    }


def main() -> None:
    """Print the figures."""
    for name, figure in figures().items():
        print(f"{name:42} {figure}")


if __name__ == "__main__":
    main()
