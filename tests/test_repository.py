"""What must hold of the repository as a whole: the README's commands, the layers, and what may not stand in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```[a-z]*\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", [0, 1, 2, 3], ids=["run", "test", "run on Windows", "test on Windows"])
def test_the_first_blocks_of_the_readme_are_one_command_line_each(number: int) -> None:
    assert BLOCKS[number].count("\n") == 1
    assert "install" in BLOCKS[number]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    found = re.search(r"awk '([^']+)'", script)
    assert found is not None
    printed = subprocess.run(["awk", found[1], str(ROOT / "README.md")], capture_output=True, text=True, check=True).stdout
    assert printed == BLOCKS[1]


def test_the_windows_variants_install_the_same() -> None:
    for here, there in ((BLOCKS[0], BLOCKS[2]), (BLOCKS[1], BLOCKS[3])):
        assert re.findall(r"-e \S+|remediate .*|pytest .*", here) == re.findall(r"-e [^\s;]+|remediate .*|pytest .*", there)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_every_document_that_a_document_names_exists(page: Path) -> None:
    named = re.findall(r"`(docs/[\w-]+\.md)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_link_of_the_front_pages_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).is_file()] == []


def test_the_pages_draw_without_a_network() -> None:
    """Material for MkDocs fetches the script for Mermaid from another site; a picture in the repository needs none."""
    pages = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")}
    assert [name for name, text in pages.items() if "```mermaid" in text or re.search(r"!\[[^\]]*\]\(https?:", text)] == []
    drawn = (ROOT / "docs/images/layers.svg").read_text(encoding="utf-8")
    folders = {path.name for path in (ROOT / "remediation").iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(re.findall(r'class="name"[^>]*>([^<]+)<', drawn))


def test_the_readme_is_short_and_has_small_pictures() -> None:
    assert README.count("\n") <= 150
    pictures = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", README)
    assert {Path(name).suffix for name in pictures} == {".svg", ".png"}
    assert {name: size for name in pictures if (size := (ROOT / name).stat().st_size) > 200_000} == {}


def test_the_lab_may_import_nothing_of_the_program_but_the_model() -> None:
    packages = {f"remediation.{path.name}" for path in (ROOT / "remediation").iterdir() if (path / "__init__.py").exists()}
    contract = re.search(
        r'source_modules = \["remediation_lab"\]\nforbidden_modules = \[(.*?)\n\]',
        (ROOT / "pyproject.toml").read_text("utf-8"),
        re.DOTALL,
    )
    assert contract is not None
    assert set(re.findall(r'"([\w.]+)"', contract[1])) == packages - {"remediation.model"}


def test_the_two_distributions_have_one_version() -> None:
    ours, labs = ((ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "lab/pyproject.toml"))
    version = re.search(r'^version = "(.+)"$', ours, re.MULTILINE)
    assert version is not None
    assert f'\nversion = "{version[1]}"\n' in labs
    assert f'"remediation=={version[1]}"' in labs


def test_the_layers_hold() -> None:
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
