"""The two wheels, built from the checkout and installed into an environment that has never seen it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest

from tests.support.distributions import ROOT, Scratch, build_wheels, make_scratch


def built(wheel: Path) -> tuple[set[str], list[str]]:
    """Return the files of a wheel, and what it requires without extras."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    required = message_from_string(metadata).get_all("Requires-Dist") or []
    return names, [re.split(r"[^\w.-]", each)[0].lower() for each in required if "extra ==" not in each]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build both as ``pip wheel . ./lab`` does."""
    return build_wheels(tmp_path_factory.mktemp("wheels"), ROOT, ROOT / "lab")


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    """An environment with our dependencies, and an empty folder to work in; a lab that it started is stopped afterwards."""
    made = make_scratch(tmp_path)
    yield made
    made.remediate("lab.stop")


def test_the_programs_wheel_has_no_lab_and_the_labs_has_nothing_else(wheels: dict[str, Path]) -> None:
    ours, required = built(wheels["remediation"])
    assert {
        "remediation/cli/main.py",
        "remediation/shipped/playbooks/fix-offload.yml",
        "remediation/shipped/inventory/lab.yml",
        "remediation/locale/es/LC_MESSAGES/remediation.po",
    } <= ours
    assert {"remediation/shipped/schema/playbook.json", "remediation/py.typed"} <= ours
    assert [name for name in ours if name.endswith(".py") and re.search(r"\blab\b|_lab\b|lab/", name)] == []
    assert "remediation-lab" not in required
    labs, required = built(wheels["remediation_lab"])
    assert {"remediation_lab/plugin.py", "remediation_lab/winrm/server.py", "remediation_lab/py.typed"} <= labs
    assert {name.partition("/")[0] for name in labs if ".dist-info/" not in name} == {"remediation_lab"}
    assert "remediation" in required


def test_what_each_distribution_imports_it_requires(wheels: dict[str, Path]) -> None:
    """A dependency that only the other one declares would be missing, or there for nothing."""
    provided = {"spnego": "pyspnego", "yaml": "pyyaml", "cryptography": "cryptography", "platformdirs": "platformdirs"}
    for name, folder in (("remediation", ROOT / "remediation"), ("remediation_lab", ROOT / "lab/remediation_lab")):
        texts = [path.read_text("utf-8") for path in folder.rglob("*.py")]
        used = {
            package
            for module, package in provided.items()
            if any(re.search(rf"^\s*(from|import) {module}\b", text, re.MULTILINE) for text in texts)
        }
        assert used == set(provided.values()) & set(built(wheels[name])[1])


def test_in_an_empty_folder_the_program_works_alone_and_repairs_the_lab_with_it(
    wheels: dict[str, Path], scratch: Scratch
) -> None:
    scratch.install(wheels["remediation"])
    listed = scratch.remediate("--list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "fix-offload" in listed.stdout
    assert "lab." not in listed.stdout
    for words in (("lab.start",), ("fix-offload", "--inventory", "lab")):
        missing = scratch.remediate(*words)
        assert (missing.returncode, missing.stdout) == (1, "")
        assert "needs the distribution remediation-lab, which is not installed here" in missing.stderr
    scratch.install(wheels["remediation_lab"])
    assert "lab.start" in scratch.remediate("--list").stdout
    repaired = scratch.remediate("fix-offload", "--inventory", "lab")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert "goal met  33/33 layers on the GPU" in repaired.stdout
    assert str(ROOT) not in repaired.stdout + repaired.stderr
    assert list(scratch.folder.iterdir()) == []
    assert scratch.remediate("lab.stop").stdout == "the lab was stopped; its machines stay as they are\n"
