"""Replay recordings of real Ollama servers on the stand-in and compare: ``python -m remediation_lab.ollama.replay FOLDER``.

FOLDER holds ``models.json`` and, per release, a folder per scenario with ``scenario.yml``, the answers and ``server.log``.
The recordings were made on a software Vulkan device; where the lab plays an NVIDIA card, names are mapped to one another
before they are compared (Vulkan0 and CUDA0, their library folders, their variables), nothing else is.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from remediation_lab.ollama import compare, recording
from remediation_lab.ollama.answers import Answer, NoAnswer
from remediation_lab.ollama.damage import Damage
from remediation_lab.ollama.loader import Pace
from remediation_lab.ollama.models import Model, ModelStore, from_table
from remediation_lab.ollama.releases.base import Memory
from remediation_lab.ollama.server import OllamaServer
from remediation_lab.ollama.snapshot import PlainMemory
from remediation_lab.ports import Device

ISSUE = ("healthy", "num-gpu-1-request-sticky", "llm-library-cuda", "guide-env", "ignored-env")
VERSIONS = ("0.9.6", "0.12.10", "0.13.5", "0.24.0", "0.32.0")
COLUMNS = ("status", "shape", "layers", "messages", "sizes")
_DEVICE = Device("llvmpipe (LLVM 15.0.6, 256 bits)", "6d657361-3232-2e33-2e36-000000000000", "0.0", "12.0")
_TEMPLATE = "{{ if .System }}<<SYS>>{{ .System }}<</SYS>> {{ end }}{{ .Prompt }}"
_NO_GPU = ("no-driver", "gpu-library-", "vulkan-disabled")
_PAUSE = 0.5


class StepClock:
    """A clock that jumps: sleeping takes no time."""

    def __init__(self, start: float) -> None:
        self._now = start

    def now(self) -> float:
        """Return the clock's seconds since the epoch."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Jump ahead."""
        self._now += seconds


@dataclass(slots=True)
class Result:
    """One scenario: what differed, by column."""

    version: str
    scenario: str
    differences: dict[str, list[str]] = field(default_factory=lambda: {column: [] for column in COLUMNS})

    @property
    def agrees(self) -> bool:
        """Whether nothing differed."""
        return not any(self.differences.values())


class Scenario:
    """A recorded scenario and the stand-in that replays it."""

    def __init__(self, folder: Path, models: Path) -> None:
        # PyYAML only here: the stand-in itself must start with nothing but the standard library
        import yaml  # see above

        self.folder = folder
        self.name = folder.name
        self.version = folder.parent.name.removeprefix("v")
        self.description: Mapping[str, Any] = yaml.safe_load((folder / "scenario.yml").read_text("utf-8"))
        table = json.loads(models.read_text("utf-8"))["models"]
        self._files = {entry["name"]: from_table(entry) for entry in table}
        self._store = ModelStore()
        for name, file in self._files.items():
            harm = (
                Damage(self.name.removeprefix("corrupt-"))
                if self.name.startswith("corrupt-") and name == "tiny:32"
                else Damage.NONE
            )
            self._store.put(Model(name, file, template=_TEMPLATE, modified=1.0, damage=harm))
        self._driver = recording.driver(self.description.get("notes") or ())
        self._clock = StepClock(1.8e9)
        self._log: list[str] = []
        self._server: OllamaServer | None = None
        self._memory = PlainMemory(0)

    def play(self) -> Result:
        """Replay every step and compare."""
        result = Result(self.version, self.name)
        for step in (
            sorted(self.description["steps"], key=_order) if self.name == "other-model-busy" else self.description["steps"]
        ):
            if "start_server" in step:
                self._start(step["start_server"])
            elif "request" in step:
                self._request(step, result)
            elif "other_programs_closed" in step:
                self._memory.hold("other programs", self._memory.total() - recording.mebibytes(step["other_programs_closed"]))
            elif "cli" in step:
                self._client(step["cli"])
            self._clock.sleep(_PAUSE)
        self._compare_logs(result, self._log)
        return result

    def _start(self, start: Mapping[str, Any]) -> None:
        environment = recording.translated(start["env"])
        if self._server:
            self._server.stop()
        without = self.name.startswith(_NO_GPU) and not (self.version == "0.12.10" and self.name == "vulkan-disabled")
        if gpu := start.get("simulated_gpu"):
            self._memory = PlainMemory(gpu["total_bytes"], gpu["used_by_others_bytes"])
        else:
            free = self._driver.get("FREE", recording.DRIVER_FREE)
            self._memory = PlainMemory(recording.DRIVER_TOTAL, recording.DRIVER_TOTAL - free)
            without = not self._driver or not self._driver.keys().isdisjoint(recording.BROKEN)
        self._server = OllamaServer(
            version=self.version,
            environment={"OLLAMA_MODELS": "/srv/ollama/models", **environment},
            device=None if without else _DEVICE,
            memory=self._memory,
            clock=self._clock,
            models=self._store,
            log=lambda _, text: self._log.append(text),
            pace=Pace(context_bytes=0),
            ram=self._ram(),
            gpu_runner=self.version != "0.9.6",  # its recordings have a driver and no build that uses it
        )
        if not self._server.start():
            self._server = None

    def _ram(self) -> Memory:
        if self.name == "system-memory-cgroup-v2" and self.version != "0.12.10":  # read since v0.13.0: facts/ollama 4.7
            return Memory(600 * 1024**2, 480 * 1024**2)
        if self.name == "system-memory-cgroup-v1-oom":
            return Memory(int(23.5 * 1024**3), int(21.9 * 1024**3), limit=734003200)
        return Memory(int(23.5 * 1024**3), int(21.9 * 1024**3))

    def _client(self, command: str) -> None:
        """Send what the CLI sends; a Modelfile is not in the recordings, so its parameters are read from what /api/show then said."""
        stop, create = re.fullmatch(r"ollama stop (\S+)", command), re.fullmatch(r"ollama create (\S+) -f \S+", command)
        if stop and self._server:
            self._server.handle("POST", "/api/generate", json.dumps({"model": stop[1], "keep_alive": 0}).encode()).read()
        run = re.fullmatch(r"ollama run (\S+) (\S+)", command)
        if run and self._server:
            self._server.handle("POST", "/api/generate", json.dumps({"model": run[1], "prompt": run[2]}).encode()).read()
        shown = self.folder / "02-show.http.json"
        if create and self._server and self.name == "num-gpu-1-modelfile":
            text = json.loads(shown.read_text("utf-8"))["body"]["parameters"]
            parameters = {key: json.loads(value) for key, value in (each.split(maxsplit=1) for each in text.splitlines())}
            body = {"model": create[1], "from": "tiny:32", "parameters": parameters}
            self._server.handle("POST", "/api/create", json.dumps(body).encode()).read()

    def _request(self, step: Mapping[str, Any], result: Result) -> None:
        server = self._server
        recorded = json.loads((self.folder / step["answer"]).read_text("utf-8"))
        method, _, path = step["request"].partition(" ")
        if server is None:
            if recorded["status"] is not None:
                result.differences["status"].append(f"{step['answer']}: no server plays")
            return
        lines = recorded.get("body")
        if "after-kill" in step["answer"]:
            server.kill_runner()  # the recorder did it between two steps
        died = (
            isinstance(lines, list) and lines and isinstance(lines[-1], dict) and "unexpected EOF" in str(lines[-1].get("error"))
        )
        if died and path in {"/api/generate", "/api/chat"}:
            server.kill_runner(after_tokens=len(lines) - 1)  # the accident of the recording, not an answer of the server's rules
        body = step.get("body")
        raw = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        try:
            answer = server.handle(method, path, raw)
            status: int | None = answer.status
            text = _taken(answer, recorded).decode()
        except NoAnswer:
            status, text = None, ""
        where = step["answer"].split(".")[0]
        if status != recorded["status"] and "gives up" not in step.get("note", ""):
            result.differences["status"].append(f"{where}: {recorded['status']} recorded, {status} played")
            return
        if "SIGKILL to the server" in step.get("note", ""):
            self._server = None
        if status is None or recorded["status"] is None:
            return
        played = _parsed(text, recorded["body"])
        result.differences["shape"].extend(f"{where}: {each}" for each in compare.shapes(recorded["body"], played))
        if path == "/api/ps" and status == 200:  # HTTP OK
            result.differences["sizes"].extend(f"{where}: {each}" for each in compare.sizes(recorded["body"], played))

    def _compare_logs(self, result: Result, played: Sequence[str]) -> None:
        real = list(recording.lines(self.folder))
        expected, got = [compare.offloaded(lines) for lines in (real, played)]
        if expected != got:
            result.differences["layers"].append(
                f"{' '.join(expected) or 'no line'} recorded, {' '.join(got) or 'no line'} played"
            )
        ranges = [re.findall(r"GPULayers:(\[\]|\d+\[.*?Layers:[\d()., ]+\])", "\n".join(lines)) for lines in (real, played)]
        if ranges[0] != ranges[1]:
            result.differences["layers"].append(f"load requests {ranges[0]} recorded, {ranges[1]} played")
        real_classes, played_classes = (compare.classes(lines) for lines in (real, played))
        for name in compare.MESSAGES:
            if real_classes[name] != played_classes[name]:
                result.differences["messages"].append(f"{name}: {real_classes[name]} recorded, {played_classes[name]} played")
        result.differences["sizes"].extend(compare.estimates(real, played))


def _order(step: Mapping[str, Any]) -> int:
    """Order so that a request that overlapped others, and began before them, comes before them."""
    return 0 if "start_server" in step or "01-" in step["answer"] else 1 if step.get("concurrent") else 2


def _taken(answer: Answer, recorded: Mapping[str, Any]) -> bytes:
    """Read as much of an answer as the recorder did: a stream that it broke off is broken off here, too."""
    lines = recorded.get("body")
    if isinstance(lines, list) and lines and isinstance(lines[-1], dict) and lines[-1].get("done") is False:
        taken = b"".join(islice((chunk for chunk in answer.chunks if chunk), len(lines)))
        answer.close()
        return taken
    return answer.read()


def _parsed(text: str, like: object) -> object:
    if isinstance(like, list):
        return [json.loads(each) for each in text.splitlines()]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def scenarios(folder: Path, *, everything: bool) -> Iterator[Path]:
    """Yield the scenario folders to replay: those that must agree, or all of the releases that the lab plays."""
    for version in VERSIONS:
        for path in sorted((folder / f"v{version}").iterdir()):
            if everything or path.name in ISSUE or re.fullmatch(r"vram-occupied-.*", path.name):
                yield path


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit 1 when something differs."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    everything, verbose = "--all" in given, "-v" in given
    folders = [Path(each) for each in given if not each.startswith("-")]
    if len(folders) != 1 or not (folders[0] / "models.json").is_file():
        sys.stderr.write(
            "usage: python -m remediation_lab.ollama.replay FOLDER [--all] [-v]; FOLDER holds models.json and v0.12.10, v0.13.5\n"
        )
        return 2
    results = [Scenario(path, folders[0] / "models.json").play() for path in scenarios(folders[0], everything=everything)]
    sys.stdout.write(f"{'release':9}{'scenario':34}" + "".join(f"{column:>10}" for column in COLUMNS) + "\n")
    for result in results:
        cells = "".join(
            f"{'ok' if not result.differences[column] else len(result.differences[column]):>10}" for column in COLUMNS
        )
        sys.stdout.write(f"{result.version:9}{result.scenario:34}{cells}\n")
        if verbose:
            for column in COLUMNS:
                for each in result.differences[column]:
                    sys.stdout.write(f"    {column}: {each}\n")
    agree = sum(result.agrees for result in results)
    sys.stdout.write(f"{agree} of {len(results)} scenarios agree in everything\n")
    return 0 if agree == len(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
