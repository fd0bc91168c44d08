"""The kinds of input that are mutated: how one input of a kind is made from valid ones, and the command lines that read it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.mutation import Mutator

ROOT = Path(__file__).resolve().parents[2]
LOCAL = json.dumps({"all": {"hosts": {"h1": {"ansible_connection": "local"}}}})
INVENTORY = """\
windows:
  vars:
    ansible_connection: winrm
    ansible_port: 5986
    ansible_user: ops
    ansible_password: "{{ lookup('env', 'OPS_PASSWORD') }}"
    model: &model "mistral:7b-instruct-q4_K_M"
  hosts:
    dev-[01:12].example: { compose_project: ai-native }
linux:
  hosts: { gpu-1.example: { ansible_host: 192.0.2.7, endpoint: "http://127.0.0.1:11434", ansible_port: 22 } }
gpu:
  children: { windows: , linux: }
  vars: { model: *model, max_risk: disruptive }
"""
EVIDENCE = {
    "nvidia_smi": """\
Sun Nov 29 12:00:00 2026
| NVIDIA-SMI 551.86                 Driver Version: 551.86         CUDA Version: 12.4     |
|   0  NVIDIA GeForce RTX 3060      WDDM  |   00000000:01:00.0  On |                  N/A |
|  0%   50C    P8             12W /  170W |   5890MiB /   6144MiB |      6%      Default |
|    0   N/A  N/A      4321      C   ...\\stable-diffusion\\python.exe          4216MiB |
""",
    "ollama_ps": "NAME       ID      SIZE      PROCESSOR          UNTIL\nmistral:7b aaaa    5.5 GB    81%/19% CPU/GPU    4 minutes from now\n",
    "api": json.dumps({"models": [{"name": "m", "size": 9, "size_vram": 1, "expires_at": "2026-11-29T12:00:00Z", "context_length": 4096}]}),
    "env": "OLLAMA_NUM_PARALLEL=16\nOLLAMA_LLM_LIBRARY=cuda\nCUDA_VISIBLE_DEVICES=-1\n",
    "docker_inspect": '"State": {"Status": "exited", "OOMKilled": true, "ExitCode": 137},\n"HostConfig": {"Memory": 125829120, "DeviceRequests": null}\n',
    "compose": "services:\n  ollama:\n    image: ollama/ollama\n    environment: [OLLAMA_NUM_GPU=99]\n    deploy: {resources: {limits: {memory: 4G}}}\n",
    "modelfile": "FROM llama3.1:8b\nPARAMETER num_gpu 0\nPARAMETER temperature 0.2\n",
}  # fmt: skip


@dataclass(frozen=True)
class Bases:
    """What the inputs are made from: texts by kind, a recorded host, a saved plan, and the folder of a run."""

    evidence: tuple[str, ...]
    incidents: tuple[Any, ...]
    playbooks: tuple[str, ...]
    cassette: tuple[Any, ...]
    plan: Mapping[str, Any]
    run: Path


def bases(folder: Path, environment: Mapping[str, str]) -> Bases:
    """Record a repair of a host of the lab, replay it for a plan and a run, and collect the rest from the repository."""
    import yaml

    from remediation.model.text.yaml_limits import FASTEST

    def remediate(*words: str, codes: tuple[int, ...] = (0,)) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "remediation.cli.main", *words], cwd=folder, env=dict(environment), capture_output=True, text=True,
            encoding="utf-8", check=False, timeout=110,
        )  # fmt: skip
        assert done.returncode in codes, done.stdout + done.stderr

    tape, plan = folder / "base.jsonl", folder / "plan.json"
    remediate("fix-offload", "--inventory", "lab", "--record", str(tape))
    remediate("lab.stop")
    inventory = folder / "replay.json"
    inventory.write_text(_replay(tape), "utf-8")
    shutil.rmtree(_runs(environment))
    remediate("fix-offload", "--inventory", str(inventory), "--check", "--out", str(plan), codes=(4,))
    shutil.rmtree(_runs(environment))
    remediate("fix-offload", "--inventory", str(inventory), codes=(0, 2))
    (run,) = _runs(environment).iterdir()
    logs = sorted((ROOT / "tests/diagnosis/fixtures/logs").glob("*.log"))
    books = sorted(ROOT.glob("playbooks/*.yml")) + sorted(ROOT.glob("tests/playbook/cases/*/playbook.yml"))
    return Bases(
        (*(path.read_text("utf-8") for path in logs), *EVIDENCE.values()),
        tuple(yaml.load((ROOT / "tests/diagnosis/fixtures/causes.yml").read_text("utf-8"), Loader=FASTEST)),
        tuple(path.read_text("utf-8") for path in books),
        tuple(json.loads(line) for line in tape.read_text("utf-8").splitlines()),
        json.loads(plan.read_text("utf-8")),
        run,
    )


Make = Callable[[Bases, Mutator, Path], list[list[str]]]


def evidence(base: Bases, mutator: Mutator, folder: Path) -> list[list[str]]:
    """Write a pasted text, or an incident with several."""
    if mutator.random.random() < 0.3:
        path = folder / "incident.json"
        incident = mutator.value(mutator.random.choice(base.incidents) | {"date": "2026-01-01"})
        path.write_bytes(json.dumps(incident, default=str).encode("utf-8", "surrogatepass"))
    else:
        path = folder / mutator.random.choice(("pasted.txt", "pasted.log", "pasted.json", "pasted.yml"))
        path.write_bytes(mutator.text(mutator.random.choice(base.evidence)))
    out = ["--out", "clean.yml"] if mutator.random.random() < 0.3 else []
    return [["diagnose", "--evidence", path.name, *out]]


def playbook(base: Bases, mutator: Mutator, folder: Path) -> list[list[str]]:
    """Write a playbook; it is only read, and run in check mode."""
    (folder / "site.yml").write_bytes(mutator.text(mutator.random.choice(base.playbooks)))
    (folder / "inventory.json").write_text(LOCAL, "utf-8")
    return [mutator.random.choice((["lint", "site.yml"], ["play", "site.yml", "--check", "-i", "inventory.json", "-e", "x=1"]))]


def inventory(base: Bases, mutator: Mutator, folder: Path) -> list[list[str]]:
    """Write an inventory with group variables; no host of it is connected to."""
    (folder / "hosts.yml").write_bytes(mutator.text(INVENTORY))
    (folder / "group_vars").mkdir()
    (folder / "group_vars" / "gpu.yml").write_bytes(mutator.text("model: phi3:3.8b\nnested: {a: [1, 2], b: '{{ model }}'}\n"))
    words = (["hosts"], ["hosts", "--graph"], ["vars", "gpu-1.example"], ["vars", "dev-01.example"])
    return [[*mutator.random.choice(words), "--inventory", "hosts.yml"]]


def plan(base: Bases, mutator: Mutator, folder: Path) -> list[list[str]]:
    """Write a saved plan whose digest is right: what an older or a hostile program would have written."""
    value = mutator.value({key: each for key, each in base.plan.items() if key != "digest"})
    if isinstance(value, dict):
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        value["digest"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    (folder / "plan.json").write_bytes(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return [["apply", "plan.json"]]


def journal(base: Bases, mutator: Mutator, folder: Path) -> list[list[str]]:
    """Write the folder of a run with one of its files damaged."""
    run = folder / "state" / "remediation" / "runs" / base.run.name
    shutil.copytree(base.run, run)
    path = mutator.random.choice(sorted(path for path in run.rglob("*") if path.is_file()))
    if path.suffix == ".gz":
        packed = bytearray(path.read_bytes())
        packed[mutator.random.randrange(len(packed))] ^= 1 << mutator.random.randrange(8)
        path.write_bytes(packed[: mutator.random.randrange(len(packed)) + 1])
        return [["bundle", run.name]]
    text = path.read_text("utf-8")
    if path.suffix in {".json", ".jsonl"} and mutator.random.random() < 0.6:
        lines = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]
        number = mutator.random.randrange(len(lines))
        lines[number] = mutator.value(lines[number])
        path.write_bytes("\n".join(json.dumps(line) for line in lines).encode("utf-8", "surrogatepass"))
    else:
        path.write_bytes(mutator.text(text))
    words = (
        ["history"],
        ["history", "--json"],
        ["show", run.name],
        ["show", run.name, "--json"],
        ["undo", run.name],
        ["resume", run.name],
    )
    return [mutator.random.choice(words)]


def host(base: Bases, mutator: Mutator, folder: Path) -> list[list[str]]:
    """Write the recording of a host with some of its replies changed."""
    lines = [json.loads(json.dumps(line)) for line in base.cassette]
    for _ in range(mutator.random.choice((1, 1, 3, 10))):
        number = mutator.random.randrange(1, len(lines))
        if isinstance(lines[number], dict):
            lines[number]["reply"] = _reply(mutator, lines[number].get("reply"))
    (folder / "tape.jsonl").write_bytes(
        "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode("utf-8", "surrogatepass")
    )
    (folder / "replay.json").write_text(_replay(folder / "tape.jsonl"), "utf-8")
    words = (["diagnose"], ["check-host", "-v"], ["fix-offload", "--check"], ["fix-offload"], ["verify"])
    return [[*mutator.random.choice(words), "--inventory", "replay.json"]]


KINDS: Mapping[str, Make] = {
    "evidence": evidence, "playbook": playbook, "inventory": inventory, "plan": plan, "journal": journal, "host": host,
}  # fmt: skip


def _reply(mutator: Mutator, reply: Any) -> Any:
    """Return a reply of the same kind that says something else; a JSON document inside is changed as a document."""
    if not isinstance(reply, dict):
        return mutator.value(reply)
    reply = dict(reply)
    names = [name for name in reply if name != "kind" and not name.startswith("seconds")]
    name = mutator.random.choice(names) if names else "x"
    value = reply.get(name)
    if isinstance(value, str):
        try:
            reply[name] = json.dumps(mutator.value(json.loads(value)))
        except (ValueError, RecursionError):
            reply[name] = mutator.text(value).decode("utf-8", "replace")
    else:
        reply[name] = mutator.value(value)
    return reply


def _replay(tape: Path) -> str:
    host = {"ansible_connection": "replay", "ansible_replay_file": str(tape), "close_programs": True, "max_risk": "disruptive"}
    return json.dumps({"all": {"hosts": {"h1": host}}})


def _runs(environment: Mapping[str, str]) -> Path:
    return Path(environment["XDG_STATE_HOME"]) / "remediation" / "runs"
