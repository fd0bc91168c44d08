"""A handmade run: the events that a report makes a page of (figures as in the guide's incident)."""

from __future__ import annotations

from typing import Any

from remediation.model.event import Event

GIB = 1024**3
START = 1_000_000.0
HOST = "laptop-07"
PLAY = "Everything on the GPU again"
TASK = "All layers on the GPU"


def event(kind: str, at: float = 0.0, *, host: str = HOST, task: str = TASK, **data: Any) -> Event:
    return Event(kind, START + at, host=host, play=PLAY, task=task, data=data)


def run_start(*hosts: str, check: bool = False) -> Event:
    return Event(
        "run_start",
        START,
        data={"run": "7f3a", "command": "fix-offload", "check": check, "max_risk": "disruptive", "playbook": "fix-offload.yml",
              "inventory": ["lab.yml"], "hosts": list(hosts or (HOST,))},
    )  # fmt: skip


def facts(host: str = HOST) -> Event:
    return event(
        "host_facts",
        0.2,
        host=host,
        facts={
            "system": "Windows 11",
            "gpus": "RTX 3060 Laptop 6 GiB · driver 551.86",
            "engine": "Docker Desktop 4.37",
            "ollama": "Ollama 0.13.5 in ai-native-ollama",
        },
        target={
            "model": {"value": "mistral:7b-instruct-q4_K_M", "source": "from .env: OLLAMA_MODEL"},
            "project": {
                "value": {
                    "name": "activia1",
                    "files": ["C:\\dev\\activia1\\docker-compose.yml", "C:\\dev\\activia1\\docker-compose.gpu.yml"],
                    "working_dir": "C:\\dev\\activia1",
                },
                "source": "from the container's labels",
            },
            "endpoint": {"value": "http://127.0.0.1:11434", "source": "published by ai-native-ollama"},
        },
        round_trips=3,
        seconds=1.4,
    )


DIAGNOSIS: dict[str, Any] = {
    "findings": [
        {
            "cause": "vram_occupied",
            "confidence": 0.97,
            "because": "chrome.exe 2.3 GiB, Discord.exe 1.9 GiB, Code.exe 0.4 GiB hold 4.6 GiB",
            "quotes": [
                {
                    "where": "log:812",
                    "text": 'msg="loading model" "model layers"=33 requested=-1 '
                    + "x" * 400
                    + " GPULayers:1[ID:GPU-1 Layers:1(31..31)]",
                }
            ],
            "cure": "close them",
        }
    ],
    "ruled_out": [
        {"cause": "explicit_num_gpu", "because": "requested=-1"},
        {"cause": "driver_too_old", "because": "551.86"},
        {"cause": "gpu_not_visible_to_container", "because": "a CUDA device is listed"},
    ],
    "settings": [
        {"name": "OLLAMA_NUM_GPU", "value": "99", "verdict": "dead", "because": "read by no Ollama release"},
        {"name": "OLLAMA_GPU_MEMORY_FRACTION", "value": "0.85", "verdict": "dead", "because": "read by no Ollama release"},
    ],
    "offloaded": [1, 33],
    "predicted": [33, 33],
    "need": "needs 5.4 GiB at 4096 context; 1.1 GiB are free",
    "collect": [],
    "notes": [],
}


def change(summary: str, *, risk: str = "disruptive", diff: str = "", undo: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"summary": summary, "subject": "412@1.0", "before": 2.3 * GIB, "after": 0, "risk": risk, "needs": [], "diff": diff,
            "undo": undo, "asks": ""}  # fmt: skip


def memory(model: float, *programs: tuple[str, float]) -> dict[str, Any]:
    """The memory of a card of 6 GiB, whose model is charged to WSL."""
    held = [{"name": "vmmemWSL", "bytes": model * GIB, "serves": True}]
    held += [{"name": name, "bytes": size * GIB, "serves": False} for name, size in programs]
    return {
        "gpus": ["RTX 3060"], "total": 6 * GIB, "used": sum(one["bytes"] for one in held) + 0.2 * GIB, "held": held,
        "models": [{"model": "mistral:7b-instruct-q4_K_M", "bytes": model * GIB}], "reliable": True,
    }  # fmt: skip


BEFORE = {
    "layers": [1, 33], "first_token_s": 2.9, "total_50_tokens_s": 31.0, "extrapolated": True, "tokens_seen": 8,
    "vram_bytes": 0.3 * GIB, "gpu_percent": 3.0, "cpu_percent": 94.0, "simulated": True, "reason": "",
    "memory": memory(0.3, ("chrome.exe", 2.3), ("Discord.exe", 1.9), ("Code.exe", 0.4)),
}  # fmt: skip
AFTER = {
    "layers": [33, 33], "first_token_s": 0.2, "total_50_tokens_s": 1.9, "extrapolated": False, "tokens_seen": 50,
    "vram_bytes": 4.9 * GIB, "gpu_percent": 92.0, "cpu_percent": 12.0, "simulated": True, "reason": "",
    "memory": memory(4.9, ("Code.exe", 0.4)),
}  # fmt: skip

COUNTS = {"ok": 2, "changed": 1, "skipped": 0, "failed": 0, "rescued": 0, "ignored": 0, "unreachable": 0, "blocked": 0}


UNDO = {"step": "model.loaded", "params": {"model": "mistral:7b-instruct-q4_K_M"}}


def repair(host: str = HOST) -> list[Event]:
    """The events of one host that is repaired by closing programs."""
    return [
        facts(host),
        event("task_start", 1.5, host=host, path="0.0"),
        event("measurement", 3.0, host=host, label="before", figures=BEFORE),
        event("goal", 3.1, host=host, state="unmet", text="1/33 layers on the GPU, wanted 33/33", values={"layers": [1, 33]}),
        event("findings", 3.2, host=host, diagnosis=DIAGNOSIS),
        event("rung_skipped", 3.2, host=host, rung="A client left few layers", treats=["explicit_num_gpu"], reason="ruled out"),
        event("rung_start", 3.3, host=host, rung="Make room", treats=["vram_occupied"], reason="confirmed", risk="disruptive"),
        event("change_start", 4.0, host=host, index=0, step="vram.free", change=change("close chrome.exe"), deadline=30.0),
        event("change_end", 8.0, host=host, index=0, step="vram.free", change=change("close chrome.exe"), applied=True,
              effect="predicted +2.3 GiB, measured +2.3 GiB", seconds=4.0),
        event("change_start", 9.0, host=host, index=0, step="model.reloaded", change=change("unload and load", risk="safe", undo=UNDO)),
        event("change_end", 14.0, host=host, index=0, step="model.reloaded", change=change("unload and load", risk="safe", undo=UNDO),
              applied=True, effect="33/33 layers", seconds=4.1),
        event("goal", 14.1, host=host, state="met", text="33/33 layers, all 5.4 GiB in dedicated memory", values={"layers": [33, 33]}),
        event("measurement", 17.0, host=host, label="after", figures=AFTER),
        event("task_result", 17.1, host=host, outcome="changed", ignored=False, msg="", reason="", next_step="", result={}, changes=[]),
        event("host_end", 17.2, host=host, outcome="changed", reason=""),
    ]  # fmt: skip


def run_end(*hosts: str, code: int = 0) -> Event:
    return Event(
        "run_end",
        START + 38,
        data={"run": "7f3a", "hosts": dict.fromkeys(hosts or (HOST,), COUNTS), "exit_code": code, "seconds": 38.0},
    )


def whole() -> list[Event]:
    return [run_start(), *repair(), run_end()]
