"""Wheels built without the network, and environments that have never seen the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = re.compile(r"_*(editable_impl_)?remediation", re.IGNORECASE)
"""What in this environment's site-packages is the checkout's own."""


def run(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "PIP_", "XDG_", "INVOKE_", "REMEDIATION_"))
    }
    return subprocess.run(
        list(map(str, words)), cwd=cwd, env={**kept, "PYTHONUTF8": "1", "COLUMNS": "100", **variables}, capture_output=True,
        encoding="utf-8", check=False, timeout=110,
    )  # fmt: skip


def build_wheels(folder: Path, *projects: Path) -> dict[str, Path]:
    """Build the wheels of `projects` into `folder`, without the network; return them by package name."""
    done = run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, *projects, cwd=folder
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {path.name.partition("-")[0]: path for path in folder.glob("*.whl")}


@dataclass(frozen=True)
class Scratch:
    """An environment with our dependencies, and an empty folder to work in."""

    home: Path
    folder: Path

    def remediate(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = self.home / ("Scripts/remediate.exe" if sys.platform == "win32" else "bin/remediate")
        state = {name: str(self.home / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "REMEDIATION_LEASE_FOLDER")}
        return run(program, *words, cwd=self.folder, HOME=str(self.home), **state)

    def install(self, *wheels: Path) -> None:
        """Install wheels with this environment's pip; modules are compiled when they are first used."""
        options = ("-q", "--no-index", "--no-deps", "--no-compile")
        done = run(sys.executable, "-m", "pip", "--python", self.home, "install", *options, *wheels, cwd=self.folder)
        assert done.returncode == 0, done.stderr


def make_scratch(folder: Path) -> Scratch:
    """Make an environment whose dependencies are this one's: all of its site-packages except what the checkout put there."""
    home, shared = folder / "venv", folder / "dependencies"
    venv.create(home)
    shared.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not OURS.match(entry.name):
            try:
                (shared / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())
            except OSError:
                pytest.skip("this login may not make symbolic links")
    (site,) = (home / "Lib" if sys.platform == "win32" else home / "lib").rglob("site-packages")
    (site / "dependencies.pth").write_text(f"{shared}\n", encoding="utf-8")
    (folder / "empty").mkdir()
    return Scratch(home, folder / "empty")
