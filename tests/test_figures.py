"""The figures of CONTRIBUTING.md are measured as it says, and the documents are written in plain words."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "scripts/figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> list[Path]:
    (tmp_path / "inner").mkdir()
    one, two = tmp_path / "one.py", tmp_path / "inner/two.py"
    one.write_text('"""Somebody was told."""\nimport os  # noqa: F401 - a reason\n\n\nclass Place: ...\n', "utf-8")
    two.write_text('TEXT = "# noqa"  # a comment\n\n\nclass Place: ...\n\n\ndef _own(): ...\n', "utf-8")
    return [one, two]


def test_lines_and_modules_are_counted_in_sub_folders(figures: ModuleType, tree: list[Path]) -> None:
    found = figures.modules(tree[0].parent)
    assert sorted(found) == sorted(tree)
    assert figures.lines(found) == 12


def test_a_suppression_is_a_comment_and_not_a_text(figures: ModuleType, tree: list[Path]) -> None:
    assert figures.suppressions(tree) == [f"{tree[0]}:2"]


def test_a_name_of_two_modules_is_shared(figures: ModuleType, tree: list[Path]) -> None:
    assert figures.shared_names(tree) == {"Place": [str(path) for path in tree]}


def test_avoided_words_are_counted_in_comments_and_strings_alone(figures: ModuleType, tree: list[Path], tmp_path: Path) -> None:
    assert figures.avoided_words(tree) == pytest.approx(1000 * 2 / 4)
    page = tmp_path / "page.md"
    page.write_text("The server is asked.\nThe server answers.\n", "utf-8")
    assert figures.avoided_words([page]) == pytest.approx(500)


def test_every_figure_is_printed(figures: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    figures.main()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) >= 7
    source = next(line for line in printed if line.startswith("lines in remediation/"))
    assert source.split()[-2] == str(len(list((ROOT / "remediation").rglob("*.py"))))


def test_the_documents_are_written_in_plain_words(figures: ModuleType) -> None:
    counted = {path.relative_to(ROOT): figures.avoided_words([path]) for path in figures.documents()}
    assert len(counted) > 25
    odd = {str(path): round(rate, 1) for path, rate in counted.items() if rate}
    assert figures.avoided_words(figures.documents()) <= 2, odd
