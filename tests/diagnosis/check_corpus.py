"""Prints the tables of the corpus: offloaded layers, robustness, calibration. Usage: check_corpus.py [offloaded|robustness|calibration|memory …].

Needs REMEDIATION_CORPUS, the folder with incidents and recordings; a plain program so that the tables can be read outside pytest.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import yaml

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.load import of_incident
from remediation.diagnosis.prediction import predict
from remediation.diagnosis.reading import read_evidence
from remediation.model.finding import Cause, Diagnosis

CORPUS = pathlib.Path(os.environ.get("REMEDIATION_CORPUS", "."))
READ = ("platform", "ollama_version", "gpu", "symptom", "evidence")
Incident = tuple[str, dict[str, Any]]


def incidents() -> list[Incident]:
    """Return the incidents of the corpus by name."""
    return [(one.stem, yaml.safe_load(one.read_text())) for one in sorted((CORPUS / "incidents").glob("*.yml"))]


def recordings() -> list[Incident]:
    """Return the recorded scenarios as incidents."""
    with tempfile.TemporaryDirectory() as folder:
        converter = CORPUS / "recordings" / "to-incidents"
        subprocess.run([sys.executable, str(converter), str(CORPUS / "recordings"), folder], check=True, capture_output=True)
        return [(one.stem, yaml.safe_load(one.read_text())) for one in sorted(pathlib.Path(folder).glob("*.yml"))]


def judged(data: dict[str, Any]) -> Diagnosis:
    """Diagnose what an incident shows, without what is expected of it."""
    return diagnose(of_incident({key: data.get(key) for key in READ}))


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


def variants(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield an incident with any one item removed, and carried in other ways."""
    items = data["evidence"]
    for number in range(len(items)):
        yield f"without {number}", {**data, "evidence": items[:number] + items[number + 1 :]}
    shuffled = list(items)
    random.Random(7).shuffle(shuffled)  # noqa: S311 - an order, not a secret
    yield "shuffled", {**data, "evidence": shuffled}
    for way in ("crlf", "prefix", "ansi", "docker-json", "journald"):
        texts = [{**one, "text": changed(one["text"], way)} if one["kind"] == "server_log" else one for one in items]
        yield way, {**data, "evidence": texts}


def fragile(items: list[Incident]) -> tuple[int, list[str]]:
    """Return how many variants were tried, and those that give another cause above 0.8 or, merely carried otherwise, another answer."""
    bad, total = [], 0
    for name, data in items:
        right = accepted(data)
        whole = judged(data).findings[0]
        for way, variant in variants(data):
            total += 1
            got = judged(variant).findings[0]
            if way.startswith("without"):
                if str(got.cause) not in right and got.cause is not Cause.UNKNOWN and got.confidence > 0.8:
                    bad.append(f"{name} {way}: {got.cause} {got.confidence}, right are {sorted(right)}")
            elif (got.cause, got.confidence) != (whole.cause, whole.confidence):
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


def memory_table(items: list[Incident]) -> tuple[list[str], int, int, int]:
    """Return rows of (incident, layers, predicted), and how many say layers, were predicted, and lie within one layer.

    Only loads that nobody asked a number for: the memory model says what the server decides.
    """
    rows, said, covered, good = [], 0, 0, 0
    for name, data in items:
        reading = read_evidence(of_incident({key: data.get(key) for key in READ}))
        if reading.offloaded is None or reading.shown is None or reading.shown.requested not in {None, -1}:
            continue
        said += 1
        forecast = predict(reading)
        if forecast is None:
            continue
        covered += 1
        near = abs(forecast.fit.layers - reading.offloaded[0]) <= 1
        good += near
        rows.append(f"{name:44s} {reading.offloaded} predicted {forecast.fit.layers}{'' if near else '   <<'}")
    return rows, said, covered, good


def main(wanted: list[str]) -> int:
    """Print the tables asked for; return 1 if one of them shows a fault."""
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
            rows, said, covered, good = memory_table(items)
            say("\n  ".join([f"memory, {title}: {said} say layers, {covered} predicted, {good} within 1 layer", *rows]) + "\n")
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
