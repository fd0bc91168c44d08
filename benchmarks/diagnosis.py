"""``remediate diagnose --evidence`` on logs of 10 and 100 MB, whole processes: seconds, processor time and peak memory.

The logs are made of the tests' own: loads of models over and over, loads among many requests, and the same as Compose prints it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import ROOT, Contender, Cost, once

MB = 1_000_000
LOGS = ROOT / "tests" / "diagnosis" / "fixtures" / "logs"
GIN = '[GIN] 2026/02/03 - 10:00:00 | 200 |  380.652589ms |       127.0.0.1 | POST     "/api/generate"\n'
PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""


def kinds() -> Mapping[str, str]:
    """Return what each log is made of."""
    loads = "".join((LOGS / name).read_text(encoding="utf-8") for name in ("g1-vram.log", "g2-num-gpu.log"))
    return {
        "loads": loads,
        "loads among requests": loads + GIN * 200,
        "as Compose prints it": "".join(f"ollama-1  | {line}\n" for line in loads.splitlines()),
    }


def write(path: Path, text: str, size: int) -> None:
    """Write `text` again and again until the file has `size` bytes."""
    with path.open("w", encoding="utf-8") as file:
        for _ in range(size // len(text.encode()) + 1):
            file.write(text)


def peak(contender: Contender) -> int:
    """Return the most memory that the process had, in bytes; 0 if the system does not count it."""
    found: list[int] = []

    def right(text: str) -> bool:
        found.extend(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("peak "))
        return contender.right(text)

    if sys.platform == "win32":
        return 0
    once(replace(contender, argv=(sys.executable, "-c", PEAK, *contender.argv), right=right))
    return found[-1]


def measured(path: Path, repeat: int) -> tuple[Cost, int]:
    """Return the medians of one log, and the peak of its memory."""
    argv = (sys.executable, "-m", "remediation.cli.main", "diagnose", "--evidence", str(path))
    contender = Contender(path.name, argv, lambda text: "vram_occupied" in text or "explicit_num_gpu" in text)
    costs = [once(contender) for _ in range(repeat)]
    cost = Cost(statistics.median(each.wall for each in costs), statistics.median(each.processor for each in costs))
    return cost, peak(contender)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    sys.stdout.write("| log | size | seconds | of processors | peak memory |\n|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in kinds().items():
            for size in (10 * MB, 100 * MB):
                path = Path(folder) / "server.log"
                write(path, text, size)
                cost, most = measured(path, options.repeat)
                row = f"| {name} | {size // MB} MB | {cost.wall:.2f} | {cost.processor:.2f} | {most / MB:.0f} MB |\n"
                sys.stdout.write(row)
                sys.stdout.flush()


if __name__ == "__main__":
    main()
