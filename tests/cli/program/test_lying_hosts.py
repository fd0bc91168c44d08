"""A fleet of recorded hosts of which some answer in unexpected ways: each is its own failure, and the rest ends as usual."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Remediate

LAB = ("--inventory", "lab")
DEEP = "[" * 80 + "]" * 80  # a recording itself may be nested 100 levels deep

Lie = Callable[[dict[str, Any]], None]
"""Changes one line of a recording."""


def probe(name: str, change: Callable[[Any], Any]) -> Lie:
    """Change what a probe answered."""

    def lie(line: dict[str, Any]) -> None:
        if line["call"]["type"] == "Probe" and line["call"]["name"] == name and line["reply"]["type"] == "ProbeReply":
            line["reply"]["value"] = change(line["reply"]["value"])

    return lie


def http(body: str, path: str = "/api/") -> Lie:
    """Answer requests of the Ollama API with `body`."""

    def lie(line: dict[str, Any]) -> None:
        if line["call"]["type"] == "Http" and path in line["call"]["url"] and line["reply"]["type"] == "HttpReply":
            line["reply"]["body"] = {"text": body}

    return lie


def docker(stdout: str) -> Lie:
    """Answer each call of docker with `stdout`."""

    def lie(line: dict[str, Any]) -> None:
        if (
            line["call"]["type"] == "Run"
            and line["call"]["argv"][0].startswith("docker")
            and line["reply"]["type"] == "Completed"
        ):
            line["reply"]["stdout"] = {"text": stdout}

    return lie


def swapped(value: Any) -> Any:
    """Return a JSON value with all texts as numbers and all numbers as texts."""
    if isinstance(value, dict):
        return {name: swapped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [swapped(each) for each in value]
    return 7 if isinstance(value, str) else str(value)


WAYS: dict[str, Lie] = {
    "a key is missing": probe("gpu", lambda value: {name: each for name, each in value.items() if name != "stdout"}),
    "null": probe("gpu", lambda _: None),
    "a list": probe("gpu", lambda value: [value]),
    "texts and numbers": probe("gpu", swapped),
    "control characters": probe("gpu", lambda value: {**value, "stdout": "\x00\x1b]0;PWNED\x07\x9b2J\r\n" * 20}),
    "deep": probe("gpu", lambda _: json.loads(DEEP)),
    "huge numbers": probe("gpu", lambda value: {**value, "stdout": value["stdout"].replace("6144", "9" * 400)}),
    "huge texts": probe("gpu", lambda value: {**value, "stdout": "x" * 300_000}),
    "odd API": http('{"models": [5, null, {"name": ["a"], "size": "big"}], "version": 7}'),
    "odd processes": probe("processes", lambda _: {"Pid": [], "Name": None}),
}


@pytest.fixture
def recording(remediate: Remediate, tmp_path: Path) -> list[dict[str, Any]]:
    tape = tmp_path / "one.jsonl"
    done = remediate("fix-offload", *LAB, "--check", "--record", str(tape))
    assert done.returncode == 4, done.stdout + done.stderr
    return [json.loads(line) for line in tape.read_text("utf-8").splitlines()]


def fleet(folder: Path, recording: list[dict[str, Any]], lies: dict[str, Lie], hosts: int, liars: int) -> tuple[Path, list[str]]:
    """Write a recording for each kind of wrong answer, and the inventory of `hosts` hosts, of which `liars` give one of these."""
    ways = list(lies)
    for number, way in enumerate(["", *ways]):
        lines = copy.deepcopy(recording)
        for line in lines[1:] if way else ():
            lies[way](line)
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (folder / f"{number}.jsonl").write_text(text, "utf-8")
    known: dict[str, Any] = {}
    lying_ones: list[str] = []
    for number in range(hosts):
        lying = number % (hosts // liars) == (hosts // liars) // 2
        name = f"{'liar' if lying else 'host'}-{number:03}"
        file = 1 + len(lying_ones) % len(ways) if lying else 0
        lying_ones += [name] if lying else []
        known[name] = {
            "ansible_connection": "replay", "ansible_replay_file": str(folder / f"{file}.jsonl"), "close_programs": True,
        }  # fmt: skip
    (folder / "fleet.json").write_text(json.dumps({"all": {"hosts": known}}), "utf-8")
    return folder / "fleet.json", lying_ones


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("hosts", "liars"), [(20, 10), pytest.param(300, 30, marks=pytest.mark.every)])
def test_the_hosts_that_lie_are_named_and_all_others_end_as_usual(
    remediate: Remediate, recording: list[dict[str, Any]], tmp_path: Path, hosts: int, liars: int
) -> None:
    inventory, lying = fleet(tmp_path, recording, WAYS, hosts, liars)
    assert len(lying) == liars
    done = remediate("fix-offload", "--check", "--max-risk", "disruptive", "--inventory", str(inventory), "--json", timeout=240)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ended = {event["host"]: event for event in events if event["event"] == "host_end"}
    assert len(ended) == hosts
    assert {event["outcome"] for name, event in ended.items() if name not in lying} == {"would-change"}
    assert [name for name in lying if ended[name]["outcome"] not in {"failed", "unverified"}] == []
    assert (events[-1]["event"], len(events[-1]["hosts"]), events[-1]["exit_code"], done.returncode) == ("run_end", hosts, 2, 2)
    shown = remediate("show", events[0]["run"]).stdout
    assert [name for name in lying if f"\n✗ {name} " not in f"\n{shown}"] == []
    assert [text for text in (done.stderr, shown) if "Traceback" in text or "internal error" in text] == []
    odd = {way: ended[name]["reason"] for way, name in zip(WAYS, lying, strict=False)}
    assert "cannot parse the answer to gpu.use: 'stdout' is missing" in odd["a key is missing"]
    assert "cannot parse the answer to ollama.running" in odd["odd API"]


@pytest.mark.parametrize("command", ["diagnose", "check-host"])
def test_read_only_commands_report_every_host_too(
    remediate: Remediate, recording: list[dict[str, Any]], tmp_path: Path, command: str
) -> None:
    lies = {**WAYS, "no session": probe("session", lambda _: [])}
    inventory, _ = fleet(tmp_path, recording, lies, 22, 11)
    done = remediate(command, "--inventory", str(inventory), "--json")
    assert len(json.loads(done.stdout)) == 22
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode in {0, 2}, [one for one in json.loads(done.stdout) if one.get("error") or one.get("exit_code") == 1]


SCRAMBLES: list[Callable[[random.Random, Any], Any]] = [
    lambda _, __: None,
    lambda draw, __: draw.choice(
        [5, -1, 10**400, 1e308, True, "", "\x1b[2J\x9b", "x" * 200_000, [], {}, [[]], {"a": {}}, json.loads(DEEP)]
    ),
    lambda _, value: [value],
    lambda _, value: swapped(value),
    lambda draw, value: dict(draw.sample(sorted(value.items()), len(value) // 2)) if isinstance(value, dict) else str(value),
]


def scrambled(value: Any, draw: random.Random) -> Any:
    """Return a JSON value with one part of it replaced."""
    if isinstance(value, dict) and value and draw.random() < 0.8:
        key = draw.choice(sorted(value))
        return {**value, key: scrambled(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.8:
        at = draw.randrange(len(value))
        return [*value[:at], scrambled(value[at], draw), *value[at + 1 :]]
    return draw.choice(SCRAMBLES)(draw, value)


def scramble(line: dict[str, Any], draw: random.Random) -> None:
    """Change one part of what a recorded reply says."""
    reply = line["reply"]
    if reply["type"] == "ProbeReply":
        reply["value"] = scrambled(reply["value"], draw)
    name = {"HttpReply": "body", "Completed": "stdout", "FileContent": "content"}.get(reply["type"])
    if name is None or "text" not in reply[name]:
        return
    text = reply[name]["text"]
    try:
        reply[name] = {"text": json.dumps(scrambled(json.loads(text), draw))}
    except ValueError:
        at = draw.randrange(len(text) + 1)
        reply[name] = {
            "text": text[:at] + draw.choice(["\x00\x1b", "9" * 400, "{{", "", "\n\n,,"]) + text[at + draw.randrange(40) :]
        }


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("number", "hosts"), [(0, 15), *(pytest.param(number, 40, marks=pytest.mark.every) for number in range(10))]
)
def test_a_recording_with_any_part_of_a_reply_replaced_ends_without_a_traceback(
    remediate: Remediate, recording: list[dict[str, Any]], tmp_path: Path, number: int, hosts: int
) -> None:
    def lie(seed: int) -> Lie:
        draw = random.Random(seed)

        def change(line: dict[str, Any]) -> None:
            if draw.random() < 0.15:
                scramble(line, draw)

        return change

    inventory, _ = fleet(tmp_path, recording, {str(seed): lie(1000 * number + seed) for seed in range(hosts)}, hosts, hosts)
    done = remediate("fix-offload", "--check", "--inventory", str(inventory), "--json", timeout=500)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[-1]["event"], len(events[-1]["hosts"])) == ("run_end", hosts), done.stderr[-3000:]
    reasons = [event["reason"] for event in events if event["event"] == "host_end" and "internal error" in event["reason"]]
    assert reasons == []
    assert "Traceback" not in done.stderr
