"""The layout of the package: small folders, modules of one noun, and no name for two things."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import remediation

ROOT = Path(remediation.__file__).parent
APART = {"lab"}
MOST_MODULES = 14
MOST_LINES = 500


def modules() -> Iterator[Path]:
    return ROOT.rglob("*.py")


def test_a_folder_holds_few_modules() -> None:
    held: dict[Path, int] = defaultdict(int)
    for path in modules():
        held[path.parent] += path.name != "__init__.py"
    assert {str(folder.relative_to(ROOT)): count for folder, count in held.items() if count > MOST_MODULES} == {}


def test_a_module_is_not_too_long() -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in modules()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_class_or_public_function_shares_a_name_with_another() -> None:
    where: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and not node.name.startswith("_")):
                where[node.name].append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}
