"""The parity corpus, as its own program counts it: the topics that inventories and templates decide."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORPUS = os.environ.get("REMEDIATION_CORPUS", "")
COMMAND = f"{sys.executable} -m remediation.cli.main play"
TOPICS = ("inventory", "patterns", "precedence", "extra-vars", "templating", "when")

pytestmark = [pytest.mark.corpus, pytest.mark.skipif(not CORPUS, reason="REMEDIATION_CORPUS is not set")]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_case_of_a_topic_agrees_with_ansible(topic: str) -> None:
    folder = Path(CORPUS) / "parity"
    done = subprocess.run(
        [sys.executable, str(folder / "compare"), str(folder), "--topic", topic, "--jobs", "2", "--command", COMMAND],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=110,
    )
    agreed = re.search(r"(\d+) of (\d+) cases agree", done.stdout)
    assert agreed is not None, done.stdout + done.stderr
    assert agreed[1] == agreed[2], done.stdout
    assert int(agreed[2]) > 0
