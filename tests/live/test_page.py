"""The page of a run in a real browser: it renders without a network, fetches nothing, and fits a narrow window."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from remediation.report.html import html
from tests.report import stream
from tests.support.parts import need_program

pytestmark = pytest.mark.live

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
MEASURE = """<script>addEventListener("load", () => { const all = [...document.querySelectorAll("section *")];
document.title = "over:" + all.filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("pre")).length
+ " bar:" + Math.round(document.querySelector(".layers i").getBoundingClientRect().width)
+ " fetched:" + performance.getEntriesByType("resource").length; });</script>"""


def rendered(page: str, folder: Path, *, width: int) -> str:
    browser = need_program("chromium", "chromium")
    file = folder / "run.html"
    file.write_text(page.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    done = subprocess.run(
        [browser, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=90,
    )
    return done.stdout


@pytest.mark.parametrize("width", [1280, 600])
def test_the_page_renders_in_a_browser(tmp_path: Path, width: int) -> None:
    title = rendered(html(stream.whole()), tmp_path, width=width).partition("<title>")[2].partition("</title>")[0]
    over, bar, fetched = (int(part.partition(":")[2]) for part in title.split())
    assert (over, fetched) == (0, 0)
    assert bar > 100  # all layers are on the GPU: the bar is full
