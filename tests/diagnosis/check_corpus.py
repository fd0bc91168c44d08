"""Prints the tables of the corpus: offloaded layers, robustness, calibration. Usage: check_corpus.py [offloaded|robustness|calibration|memory …].

Needs REMEDIATION_CORPUS, the folder with incidents and recordings; a plain program so that the tables can be read outside pytest.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.load import of_incident
from remediation.diagnosis.memory.prediction import Forecast, predict
from remediation.diagnosis.memory.shortage import shortage
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.reading import read_evidence
from remediation.diagnosis.units import MIB
from remediation.model.finding import Cause, Diagnosis

CORPUS = pathlib.Path(os.environ.get("REMEDIATION_CORPUS", "."))
READ = ("platform", "ollama_version", "gpu", "symptom", "evidence")
_JUDGED: dict[str, Diagnosis] = {}
Incident = tuple[str, dict[str, Any]]


def loaded(path: pathlib.Path) -> dict[str, Any]:
    """Return a file's content; libyaml reads the recordings' long logs ten times as fast as Python does."""
    found: dict[str, Any] = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


def program(path: pathlib.Path, *words: str) -> list[str]:
    """Return the command that runs a program of the corpus as it is, but with libyaml where it asks for PyYAML's safe ones."""
    quick = "import runpy, sys, yaml; yaml.SafeLoader, yaml.SafeDumper = yaml.CSafeLoader, yaml.CSafeDumper"
    start = (
        f"{quick}; sys.argv = sys.argv[1:]; sys.path[0] = {str(path.parent)!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return [sys.executable, *(("-c", start) if yaml.__with_libyaml__ else ()), str(path), *words]


@functools.cache
def incidents() -> list[Incident]:
    """Return the incidents of the corpus by name."""
    return [(one.stem, loaded(one)) for one in sorted((CORPUS / "incidents").glob("*.yml"))]


@functools.cache
def converted() -> pathlib.Path:
    """Return the folder with the recorded scenarios as incidents' files; it lasts as long as this process."""
    folder = tempfile.mkdtemp(prefix="incidents-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    converter = CORPUS / "recordings" / "to-incidents"
    subprocess.run(program(converter, str(CORPUS / "recordings"), folder), check=True, capture_output=True)
    return pathlib.Path(folder)


@functools.cache
def recordings() -> list[Incident]:
    """Return the recorded scenarios as incidents."""
    return [(one.stem, loaded(one)) for one in sorted(converted().glob("*.yml"))]


def judged(data: dict[str, Any]) -> Diagnosis:
    """Diagnose what an incident shows, without what is expected of it; what is the same as before is not diagnosed again."""
    shown = {key: data.get(key) for key in READ}
    key = json.dumps(shown, sort_keys=True)
    if key not in _JUDGED:
        _JUDGED[key] = diagnose(of_incident(shown))
    return _JUDGED[key]


def accepted(data: dict[str, Any]) -> set[str]:
    """Return the causes that count as right."""
    expected = data["expected"]
    return {expected["cause"], *(expected.get("other_causes") or [])}


def wrong_offloaded(items: list[Incident]) -> tuple[int, list[str]]:
    """Return how many incidents say their layers, and those where the diagnosis says others."""
    wrong, total = [], 0
    for name, data in items:
        expected = data["expected"].get("offloaded")
        if expected is None:
            continue
        total += 1
        got = judged(data).offloaded
        if got is None or list(got) != list(expected):
            wrong.append(f"{name}: expected {expected}, got {got}")
    return total, wrong


def changed(text: str, way: str) -> str:
    """Return a text as another tool would have carried it."""
    lines = text.splitlines()
    if way == "crlf":
        return "\r\n".join(lines) + "\r\n"
    if way == "prefix":
        return "\n".join(f"ollama-1  | {line}" for line in lines) + "\n"
    if way == "ansi":
        return "\n".join(f"\x1b[36m{line}\x1b[0m" for line in lines) + "\n"
    if way == "docker-json":
        return (
            "\n".join(
                json.dumps({"log": line + "\n", "stream": "stderr", "time": "2026-01-02T10:00:00.000000000Z"}) for line in lines
            )
            + "\n"
        )
    if way == "journald":
        return "\n".join(f"Jan 02 10:00:00 host ollama[42]: {line}" for line in lines) + "\n"
    raise ValueError(way)


def variants(data: dict[str, Any], *, whole_set: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield an incident with any one item removed, and carried in other ways."""
    items = data["evidence"]
    for number in range(len(items)):
        yield f"without {number}", {**data, "evidence": items[:number] + items[number + 1 :]}
    shuffled = list(items)
    random.Random(7).shuffle(shuffled)
    yield "shuffled", {**data, "evidence": shuffled}
    for way in ("crlf", "prefix", "ansi", "docker-json", "journald") if whole_set else ("crlf", "prefix", "ansi"):
        texts = [{**one, "text": changed(one["text"], way)} if one["kind"] == "server_log" else one for one in items]
        yield way, {**data, "evidence": texts}


def fragile(items: list[Incident]) -> tuple[int, list[str]]:
    """Return how many variants were tried, and those that give another cause above 0.8 or, in another log format, another answer."""
    bad, total = [], 0
    for name, data in items:
        right = accepted(data)
        whole = judged(data).findings[0]
        for way, variant in variants(data, whole_set=data.get("source") != "recording"):
            total += 1
            got = judged(variant).findings[0]
            if way.startswith("without"):
                if str(got.cause) not in right and got.cause is not Cause.UNKNOWN and got.confidence > 0.8:
                    bad.append(f"{name} {way}: {got.cause} {got.confidence}, right are {sorted(right)}")
            elif got.cause is not whole.cause or abs(got.confidence - whole.confidence) > 0.05:
                bad.append(f"{name} {way}: {got.cause} {got.confidence}, plain {whole.cause} {whole.confidence}")
    return total, bad


def calibration(items: list[Incident]) -> list[tuple[str, int, int]]:
    """Return (range of confidence, answers, right ones)."""
    table = []
    for low, high in ((0.9, 1.01), (0.8, 0.9), (0.6, 0.8), (0.35, 0.6)):
        best = [(judged(data).findings[0], accepted(data)) for _, data in items]
        within = [(one, right) for one, right in best if low <= one.confidence < high]
        table.append((f"{low:.2f} to {min(high, 1.0):.2f}", len(within), sum(str(one.cause) in right for one, right in within)))
    return table


def memory_table(items: list[Incident]) -> MemoryTable:
    """Compare the memory model with every load of one card that has the numbers.

    Loads with a requested number of layers are left out, because the memory model predicts the server's own decision. So are loads
    without a card, which have no free memory.
    """
    table = MemoryTable()
    for name, data in items:
        reading = read_evidence(of_incident({key: data.get(key) for key in READ}))
        load = reading.shown
        if reading.offloaded is None or load is None:
            continue
        table.said += 1
        asked = load.requested not in {None, -1} or judged(data).findings[0].cause is Cause.EXPLICIT_NUM_GPU
        if asked:
            table.asked += 1
            continue
        if reading.cpu_device is not None or load.library == "cpu" or not (load.free or reading.gpu_devices):
            table.no_card += 1
            continue
        forecast = predict(reading)
        if forecast is None:
            table.unknown.append(name)
            continue
        if not forecast.known:
            holds = forecast.least <= reading.offloaded[0] <= forecast.most
            table.ranges.append(
                f"{name:44s} {reading.offloaded} predicted {forecast.least} to {forecast.most}{'' if holds else '   <<'}"
            )
            continue
        near = abs(forecast.fit.layers - reading.offloaded[0]) <= 1
        table.good += near
        errors = part_errors(forecast, load, shortage(reading).weights)
        table.errors += errors
        of_parts = "  bytes off by " + ", ".join(f"{error:.1%}" for error in errors) if errors else ""
        table.rows.append(f"{name:44s} {reading.offloaded} predicted {forecast.fit.layers}{of_parts}{'' if near else '   <<'}")
    return table


@dataclass
class MemoryTable:
    """Rows of (incident, layers, predicted, errors of bytes), and how many were left out for which reason."""

    rows: list[str] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    said: int = 0
    asked: int = 0
    no_card: int = 0
    good: int = 0

    @property
    def median(self) -> float:
        """Half of the parts are off by no more than this."""
        return statistics.median(self.errors) if self.errors else 0.0

    def summary(self) -> str:
        """Return the coverage and the result in one line."""
        left = f"{self.asked} had a requested number, {self.no_card} had no card, {len(self.unknown)} not known, {len(self.ranges)} known as a range"
        found = (
            f"{len(self.rows)} predicted, {self.good} within 1 layer, median error of {len(self.errors)} parts {self.median:.2%}"
        )
        return f"{self.said} say layers ({left}): {found}"


def part_errors(forecast: Forecast, load: Load, counted: int | None) -> list[float]:
    """Return by how much the predicted bytes of weights, cache and graph differ from those that the server printed.

    Only where they come from the model's dimensions: what was read from the line itself proves nothing. Of a load that is
    partly on the card the weights are what was `counted` from its buffers, token_embd among them.
    """
    if forecast.model is None:
        return []
    parts = forecast.fit.parts
    graph = load.graph_full if load.graph_full is not None else None
    weights = (
        load.weights if load.weights is not None else load.model_gpu if load.result and load.result[0] == load.result[1] else None
    )
    if weights is None and counted:
        whole = forecast.model.weights + forecast.model.embedding_bytes
        return [abs(whole - counted) / whole, *_errors(parts, {"kv": load.kv_gpu + load.kv_cpu})]
    printed = {"weights": weights, "kv": load.kv if load.kv is not None else (load.kv_gpu + load.kv_cpu), "graph": graph}
    return _errors(parts, printed)


def _errors(parts: Mapping[str, int], printed: Mapping[str, int | None]) -> list[float]:
    return [abs(parts[name] - size) / size for name, size in printed.items() if size and size >= MIB]


def main(wanted: list[str]) -> int:
    """Print the requested tables; return 1 if one of them shows a fault."""
    faults = 0
    say = sys.stdout.write
    for title, items in (("incidents", incidents()), ("recordings", recordings())):
        if not wanted or "offloaded" in wanted:
            total, wrong = wrong_offloaded(items)
            say("\n  ".join([f"offloaded, {title}: {total - len(wrong)} of {total} right", *wrong]) + "\n")
            faults += len(wrong)
        if not wanted or "robustness" in wanted:
            strong = [(name, data) for name, data in items if data["strength"] == "strong"]
            total, bad = fragile(strong)
            say("\n  ".join([f"robustness, {title}: {total - len(bad)} of {total} variants hold", *bad]) + "\n")
            faults += len(bad)
        if not wanted or "calibration" in wanted:
            say(f"calibration, {title}\n")
            for span, answers, right in calibration(items):
                say(f"  confidence {span}: {right} of {answers} right\n")
        if not wanted or "memory" in wanted:
            table = memory_table(items)
            say(
                "\n  ".join(
                    [
                        f"memory, {title}: {table.summary()}",
                        *table.rows,
                        *table.ranges,
                        *(f"{name}: not known" for name in table.unknown),
                    ]
                )
                + "\n"
            )
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
