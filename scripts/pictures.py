"""Draw the pictures of the README from a real run on the lab: ``python scripts/pictures.py`` (needs the lab and Chromium).

The run writes its events as JSON Lines and its report as HTML. The events are drawn by the terminal report, on a console that
rich exports as SVG; Chromium takes the screenshot of the page.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from remediation.engine.journal.journal import event_from_json
from remediation.report.terminal import Hints, Terminal
from remediation.report.text import STYLES, WIDTH, Line

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
COMMAND = ("fix-offload", "--inventory", "inventory/lab.yml")
BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb")


class Recorded:
    """A screen that draws the lines of a report on a console, as the live screen does."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, lines: Iterable[Line]) -> None:
        """Draw `lines`."""
        for line in lines:
            for row in line.rows(WIDTH):
                self._console.print(Text(row, style=STYLES.get(line.style, "")))

    def close(self) -> None:
        """Do nothing: no line is live."""


def run(folder: Path) -> str:
    """Repair the lab's laptop, in a state of its own; write ``report.html`` to `folder` and return the events."""
    (folder / "run").mkdir(mode=0o700)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(folder / "run")}
    env.update({f"XDG_{name}_HOME": str(folder / name) for name in ("STATE", "DATA", "CACHE")})
    remediate = str(Path(sys.executable).with_name("remediate"))
    try:
        done = subprocess.run(
            [remediate, *COMMAND, "--json", "--report", str(folder / "report.html")],
            cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True,
        )  # fmt: skip
    finally:
        subprocess.run([remediate, "lab.stop"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, check=False)
    return done.stdout


def draw(events: str) -> str:
    """Return what the terminal shows of `events`, as SVG."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="standard", highlight=False)
    console.print(Text(f"$ remediate {' '.join(COMMAND)}", style="bold"))
    report = Terminal(Recorded(console), hints=Hints(frozenset({"undo", "show"})))
    for line in events.splitlines():
        report(event_from_json(json.loads(line)))
    report.close()
    svg = console.export_svg(title="remediate fix-offload", unique_id="run")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # they are fetched from a content delivery network


def photograph(page: Path, picture: Path, *, width: int = 1000, height: int = 900) -> None:
    """Take a screenshot of the top of `page`."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [*BROWSER, f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri()],
            check=True, stderr=subprocess.DEVNULL, timeout=90,
        )  # fmt: skip


def main() -> None:
    """Draw both pictures into ``docs/images``."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (IMAGES / "run.svg").write_text(draw(run(folder)), encoding="utf-8")
        photograph(folder / "report.html", IMAGES / "report.png", height=1050)


if __name__ == "__main__":
    main()
