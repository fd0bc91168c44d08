"""Inputs of any content end in a sentence: no traceback, no hang, no memory that runs out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.inputs import KINDS, ROOT, Bases, bases
from tests.fuzz.mutation import Mutator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="inputs are tried in forks of one process")
CODES = {0, 1, 2, 3, 4, 5}
SECONDS = 10.0
"""Of the processor: how long an input takes by the clock depends on what else the machine does."""
MEMORY = 500.0
SAMPLE = 10
EVERY = 1_670
"""Of each of six kinds: 10,000 inputs."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Nothing of the user's settings."""
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "XDG_", "REMEDIATION_"))}
    return kept | {
        "PYTHONPATH": str(ROOT), "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "COLUMNS": "100",
        "REMEDIATION_LEASE_FOLDER": str(home / "lease"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Bases:
    """Valid inputs of each kind."""
    return bases(tmp_path_factory.mktemp("bases"), environment)


class Trials:
    """A process that tries command lines, each in a fork."""

    def __init__(self, process: subprocess.Popen[str], environment: dict[str, str]) -> None:
        self.process = process
        self.environment = environment

    def run(self, words: list[str], folder: Path) -> dict[str, Any]:
        environment = self.environment | {"XDG_STATE_HOME": str(folder / "state")}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"words": words, "folder": str(folder), "environment": environment}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def trials(environment: dict[str, str]) -> Iterator[Trials]:
    """Start the process; it ends when its stdin is closed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.trial"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment, text=True,
        encoding="utf-8",
    ) as process:  # fmt: skip
        yield Trials(process, environment)


def faults_of(answer: dict[str, Any]) -> list[str]:
    found = []
    if "Traceback (most recent call last)" in answer["printed"]:
        found.append("traceback")
    if "internal error" in answer["printed"]:
        found.append("internal error")
    if answer["code"] not in CODES:
        found.append(f"code {answer['code']}")
    if answer["seconds"] > SECONDS:
        found.append(f"{answer['seconds']:.1f} s")
    if answer["memory"] > MEMORY:
        found.append(f"{answer['memory']:.0f} MiB")
    return found


def tried(kind: str, count: int, base: Bases, trials: Trials, folder: Path) -> list[str]:
    """Try so many inputs; return what went wrong, with the seed that makes it again, and print the counts."""
    faults: list[str] = []
    codes: Counter[int] = Counter()
    seconds = memory = 0.0
    kept = os.environ.get("REMEDIATION_FUZZ_KEEP")
    only = os.environ.get("REMEDIATION_FUZZ_SEED")
    for seed in range(count) if only is None else (int(only),):
        here = folder / f"{kind}-{seed}"
        here.mkdir()
        for words in KINDS[kind](base, Mutator(seed), here):
            answer = trials.run(words, here)
            codes[answer["code"]] += 1
            seconds, memory = max(seconds, answer["seconds"]), max(memory, answer["memory"])
            wrong = faults_of(answer)
            if wrong:
                faults.append(f"{kind} seed {seed}: {', '.join(wrong)}: {' '.join(words)}\n{answer['printed'][-1500:]}")
            if wrong and kept:
                shutil.copytree(here, Path(kept) / here.name, dirs_exist_ok=True)
        shutil.rmtree(here)
    counts = ", ".join(f"{number} ended with {code}" for code, number in sorted(codes.items()))
    print(f"\n{kind}: {sum(codes.values())} inputs, {len(faults)} faults; at most {seconds:.1f} s and {memory:.0f} MiB; {counts}")
    return faults


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_inputs(kind: str, base: Bases, trials: Trials, tmp_path: Path) -> None:
    faults = tried(kind, SAMPLE, base, trials, tmp_path)
    assert not faults, "\n\n".join(faults[:5])


@pytest.mark.every
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_inputs(kind: str, base: Bases, trials: Trials, tmp_path: Path) -> None:
    count = int(os.environ.get("REMEDIATION_FUZZ_COUNT", EVERY))
    faults = tried(kind, count, base, trials, tmp_path)
    assert not faults, "\n\n".join(faults[:20])
