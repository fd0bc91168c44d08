"""The pages in a real browser: they need no network, fit a narrow window, and filter and sort by their own script."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from remediation.model.event import Event
from remediation.report.html import html
from tests.report import stream
from tests.report.page.test_page import fleet, of_host
from tests.support.requirements import need_program

pytestmark = pytest.mark.live

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=8000",
)  # fmt: skip
WIDTHS = (1280, 768, 400)
MEASURE = """<script>addEventListener("load", async () => {
  const hosts = [...document.querySelectorAll("details.host")], link = document.querySelector(".matrix tr:last-child a");
  hosts.forEach((each, index) => { each.open = index < 2; });
  link?.click();
  await new Promise((done) => { setTimeout(done, 300); });
  const jump = link && [hosts.at(-1).open, hosts.at(-1).getBoundingClientRect().top < innerHeight];
  document.querySelectorAll("details").forEach(each => { each.open = true; });
  const over = [...document.querySelectorAll("section *, details *")].filter(each => each.getBoundingClientRect().right > innerWidth + 1);
  const found = { jump, width: innerWidth, over: over.map(each => each.tagName + "." + each.getAttribute("class")).slice(0, 5),
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth, fetched: performance.getEntriesByType("resource").length,
    bar: Math.round(document.querySelector(".layers svg:last-child rect").getBoundingClientRect().width) };
  const search = document.querySelector("[name=search]");
  if (search) {
    const rows = () => [...document.querySelectorAll(".matrix tbody tr")].filter(each => !each.hidden).map(each => each.cells[0].textContent);
    search.value = "BLOCKED"; search.dispatchEvent(new Event("input", { bubbles: true }));
    found.filtered = rows(); found.count = document.querySelector("output").textContent;
    found.shown = [...document.querySelectorAll("details.host")].filter(each => !each.hidden).length;
    search.value = ""; search.dispatchEvent(new Event("input", { bubbles: true }));
    const head = document.querySelector(".matrix th button"); head.click(); head.click();
    found.sorted = rows(); found.sort = head.closest("th").getAttribute("aria-sort");
  }
  parent.postMessage(found, "*");
});</script>"""
FRAMES = """<!doctype html><title>none</title><script>
const found = []; addEventListener("message", (event) => { found.push(event.data); document.title = JSON.stringify(found); });
</script>"""


def browse(file: Path, folder: Path, what: str = "--dump-dom") -> str:
    browser = need_program("chromium", "chromium")
    done = subprocess.run(
        [browser, *QUIET, f"--user-data-dir={folder / 'profile'}", "--window-size=1400,900", what, file.as_uri()],
        capture_output=True, text=True, encoding="utf-8", check=True, timeout=90,
    )  # fmt: skip
    return done.stdout


def measured(page: str, folder: Path) -> list[dict[str, Any]]:
    """Return what the page measures of itself in frames of all widths; its policy would not let it."""
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    (folder / "run.html").write_text(open_page.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    frames = "".join(f'<iframe src="run.html" width="{width}" height="900" frameborder="0"></iframe>' for width in WIDTHS)
    (folder / "frames.html").write_text(FRAMES + frames, encoding="utf-8")
    title = browse(folder / "frames.html", folder).partition("<title>")[2].partition("</title>")[0]
    found: list[dict[str, Any]] = json.loads(unescape(title))
    assert sorted(one["width"] for one in found) == sorted(WIDTHS)
    return found


def test_the_page_of_a_host_fits_every_width_and_fetches_nothing(tmp_path: Path) -> None:
    for one in measured(html(stream.whole()), tmp_path):
        assert (one["over"], one["sideways"], one["fetched"]) == ([], 0, 0)
        assert one["bar"] > 60  # all layers are on the GPU: the bar is full


def test_the_page_of_a_fleet_filters_and_sorts(tmp_path: Path) -> None:
    for one in measured(html(fleet(10)), tmp_path):
        assert (one["over"], one["sideways"], one["fetched"]) == ([], 0, 0)
        assert (one["filtered"], one["count"], one["shown"]) == (["dev-003", "dev-008"], "2 of 10 hosts", 2)
        assert (one["sorted"][0], one["sorted"][-1], one["sort"]) == ("dev-009", "dev-000", "descending")
        # a link of the matrix opens its host and shows it, also below hosts that were opened and not yet seen
        assert one["jump"] == [True, True]


def odd_fleet() -> list[Event]:
    """A fleet with every outcome, long names, and names in other scripts."""
    outcomes = ["", "blocked", "failed", "unreachable", "skipped", "timed-out", "unverified"]
    names = ["gpu-höst-東京-07", "gpu-07.a-long-name-that-a-cloud-gave.region-eu-central-1.compute.internal.example", "מחשב-7"]
    names += [f"dev-{number}" for number in range(len(outcomes) - len(names))]
    events = [stream.run_start(*names)]
    for name, outcome in zip(names, outcomes, strict=True):
        advice = f"add --max-risk disruptive --limit {name}" if outcome == "blocked" else ""
        events += of_host(name, outcome=outcome, reason="x" * 200 if outcome == "failed" else outcome, next_step=advice)
    return [*events, stream.run_end(*names, code=3)]


def test_long_names_and_many_outcomes_fit_every_width(tmp_path: Path) -> None:
    for one in measured(html(odd_fleet()), tmp_path):
        assert (one["over"], one["sideways"]) == ([], 0)


@pytest.mark.parametrize(("hosts", "most"), [(1, 2), (12, 2)])
def test_print_holds_the_summary_and_the_open_hosts(hosts: int, most: int, tmp_path: Path) -> None:
    """A host longer than a page begins below the heading; closed hosts of a fleet are one line each."""
    (tmp_path / "run.html").write_text(html(stream.whole() if hosts == 1 else fleet(hosts)), encoding="utf-8")
    browse(tmp_path / "run.html", tmp_path, f"--print-to-pdf={tmp_path / 'run.pdf'}")
    pages = re.findall(rb"/Type /Page\b", (tmp_path / "run.pdf").read_bytes())
    assert 1 <= len(pages) <= most


def test_the_policy_lets_the_pages_own_script_run(tmp_path: Path) -> None:
    (tmp_path / "run.html").write_text(html(fleet(2)), encoding="utf-8")
    assert '<html lang="en" class="js">' in browse(tmp_path / "run.html", tmp_path)
