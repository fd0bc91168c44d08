"""Each regular expression of the program takes linear time at worst, on any text of a host, a log or a file."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import remediation
from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.load import load_evidence
from remediation.diagnosis.readers.texts.languages import foreign_statements
from remediation.diagnosis.redaction import redact_text
from remediation.model.secrets.masking import Masker
from tests.support.pattern_costs import faults

ROOT = Path(remediation.__file__).parent
ALLOWED = {
    r"<Objs\b(?:[^<]|<(?!Objs\b))*?</Objs>",  # no match runs past the next beginning, so each character is read by one try
}


def modules() -> Iterator[Any]:
    for each in pkgutil.walk_packages(remediation.__path__, "remediation."):
        if not each.name.endswith("__main__"):
            yield importlib.import_module(each.name)


def compiled(value: object, seen: set[int]) -> Iterator[re.Pattern[str]]:
    """Yield the patterns in a module's value, however deep in tables they are."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (dict, list, tuple, set, frozenset)) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            yield from compiled(item, seen)


def written(path: Path) -> Iterator[re.Pattern[str]]:
    """Yield the patterns that stand in calls of `re`'s functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)):
            continue
        first = node.args[0] if node.args else None
        if node.func.value.id == "re" and isinstance(first, ast.Constant) and isinstance(first.value, str):
            anchored = node.func.attr in {"match", "fullmatch"}
            yield re.compile(
                f"^(?:{first.value})" if anchored else first.value, re.IGNORECASE if "IGNORECASE" in ast.unparse(node) else 0
            )


def patterns() -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for module in modules():
        for name, value in vars(module).items():
            for pattern in compiled(value, set()):
                if isinstance(pattern.pattern, str):
                    found.setdefault((pattern.pattern, pattern.flags), f"{module.__name__}.{name}")
    for path in ROOT.rglob("*.py"):
        for pattern in written(path):
            found.setdefault((pattern.pattern, pattern.flags), str(path.relative_to(ROOT)))
    for sentence, pattern in foreign_statements().items():
        found[pattern.pattern, pattern.flags] = f"languages.yml: {sentence}"
    return found


@pytest.mark.timeout(400)
def test_every_pattern_is_linear() -> None:
    known = patterns()
    assert len(known) > 200
    wrong = {f"{where}: {text}": faults(re.compile(text, flags)) for (text, flags), where in known.items() if text not in ALLOWED}
    assert {where: found for where, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d+x",
        r"[\w.]*token",
        r"(a+)+$",
        r"\s*,?\s*x",
        r"a.*b",
        r"(?:x\s+)?(\S+)\s+(.*?)\s*$",
        r"\|?\s*(\d+) C",
        r"\w+://",
        r"(\w|a)*x",
        r"x[^;]*;[^y]*y",
    ],
)
def test_what_is_worse_is_found(pattern: str) -> None:
    assert faults(re.compile(pattern))


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d{1,20}x",
        r"(?<!\d)\d+x",
        r"^\s*\d+",
        r"^(\w+)=(.*)$",
        r"token\w*",
        r"a=(.*)",
        r"\bx{1,64}y",
        r"(?<=://)[^@]{1,100}@",
        r"[abc]d*",
    ],
)
def test_what_is_linear_is_not(pattern: str) -> None:
    assert faults(re.compile(pattern)) == []


LONG = 300_000
HOSTILE = {
    "digits in nvidia-smi": "NVIDIA-SMI 551 " + "9" * LONG,
    "a table's line": "| NVIDIA-SMI 551 |\n" + "| 0 N/A N/A 1 C " + "a " * (LONG // 2) + "x",
    "blanks": "NVIDIA-SMI Driver Version" + " " * LONG + "x",
    "one word": "OLLAMA_NUM_GPU " + "token" * (LONG // 5),
    "fields": 'time=1 level=INFO source=x msg="' + ' "\\"' * (LONG // 4),
    "levels": "level=INFO " * (LONG // 11),
    "contexts": "default context " * (LONG // 16),
    "devices": "using device CUDA0 (" * (LONG // 20),
    "buffers": "load_tensors: " + "a " * (LONG // 2) + "buffer size",
    "sizes": "100% GPU\n" + "1" * LONG + " GB%",
    "urls": "x://a:b" * (LONG // 7),
    "gin": "[GIN]" * (LONG // 5),
    "many lines": "NVIDIA-SMI 5\n" + "| 0 N/A 9999999999 \n" * (LONG // 20),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_long_text_of_it_is_read_and_redacted(name: str, tmp_path: Path) -> None:
    path = tmp_path / "pasted.txt"
    path.write_text(HOSTILE[name], "utf-8")
    diagnose(load_evidence(str(path)))
    assert redact_text(HOSTILE[name])
    assert Masker(["some secret"]).text(HOSTILE[name])
