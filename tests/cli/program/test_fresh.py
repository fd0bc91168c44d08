"""Every family of tasks in processes that have loaded nothing before: a task imports all that it needs."""

from __future__ import annotations

import json

import pytest

from tests.cli.processes import ROOT, Remediate

HOST = "laptop-07"
LAB = ("--inventory", "lab")


@pytest.mark.timeout(400)
def test_a_repair_and_the_queries_about_it(remediate: Remediate) -> None:
    def output(*words: str) -> str:
        done = remediate(*words, fresh=True)
        assert (done.returncode, done.stderr) == (0, ""), (words, done.stdout, done.stderr)
        return done.stdout

    output("lab.start")
    output("lab.fault", HOST, "num-gpu-1")
    events = [json.loads(line) for line in output("fix-offload", *LAB, "--json", "--report", "page.html").splitlines()]
    run = events[0]["run"]
    assert run in output("history")
    assert "model.reloaded" in output("show", run)
    assert "33/33" in output("verify", *LAB)
    assert "healthy" in output("diagnose", *LAB)
    assert "num_gpu" in output("undo", run, "--max-risk", "disruptive")
    assert HOST in output("hosts", *LAB)
    assert "warn_seconds" in output("vars", HOST, *LAB)
    assert HOST in output("check-host", *LAB)
    assert "vram.free" in output("steps")
    output("lint", str(ROOT / "playbooks" / "verify.yml"))
    output("schema", "--out", "playbook.json")
    output("lab.reset")
    output("lab.stop")
