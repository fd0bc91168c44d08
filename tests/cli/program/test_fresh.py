"""Every family of tasks in processes that have loaded nothing before: a task imports all that it needs."""

from __future__ import annotations

import json

from tests.cli.started import ROOT, Remediate

HOST = "laptop-07"
LAB = ("--inventory", "lab")


def test_a_repair_and_the_queries_about_it(remediate: Remediate) -> None:
    def told(*words: str) -> str:
        done = remediate(*words, fresh=True)
        assert (done.returncode, done.stderr) == (0, ""), (words, done.stdout, done.stderr)
        return done.stdout

    told("lab.start")
    told("lab.fault", HOST, "num-gpu-1")
    events = [json.loads(line) for line in told("fix-offload", *LAB, "--json", "--report", "page.html").splitlines()]
    run = events[0]["run"]
    assert run in told("history")
    assert "model.reloaded" in told("show", run)
    assert "33/33" in told("verify", *LAB)
    assert "healthy" in told("diagnose", *LAB)
    assert "num_gpu" in told("undo", run, "--max-risk", "disruptive")
    assert HOST in told("hosts", *LAB)
    assert "warn_seconds" in told("vars", HOST, *LAB)
    assert HOST in told("check-host", *LAB)
    assert "vram.free" in told("steps")
    told("lint", str(ROOT / "playbooks" / "verify.yml"))
    told("schema", "--out", "playbook.json")
    told("lab.reset")
    told("lab.stop")
