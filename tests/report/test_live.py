"""The live lines: what each working host does, since when and until when at most."""

from __future__ import annotations

import io

from rich.console import Console

from remediation.model.event import Event
from remediation.report.live import MOST, LiveScreen, status_line
from remediation.report.terminal import PlainScreen, Terminal
from remediation.report.text import WIDTH
from tests.report import stream


def terminal(events: list[Event], now: float) -> Terminal:
    made = Terminal(PlainScreen(io.StringIO()), now=lambda: stream.START + now)
    for event in events:
        made(event)
    return made


def test_a_working_host_says_what_it_does_since_when_and_until_when() -> None:
    change = stream.event("change_start", 4.0, index=0, step="vram.free", change=stream.change("close chrome.exe"), deadline=30.0)
    assert status_line(terminal([stream.run_start(), stream.facts(), change], now=6.0)) == [
        "→ laptop-07  vram.free: close chrome.exe  2.0 s of at most 30 s"
    ]


def test_a_pull_says_how_far_it_has_come_until_it_has_ended() -> None:
    change = stream.event(
        "change_start", 4.0, index=0, step="model.present", change=stream.change("pull phi3:3.8b"), deadline=7200.0
    )
    manifest = stream.event(
        "change_progress", 5.0, index=0, step="model.present", status="pulling manifest", completed=None, total=None
    )
    layer = stream.event(
        "change_progress", 6.0, index=0, step="model.present", status="pulling aa", completed=stream.GIB, total=4 * stream.GIB
    )
    end = stream.event("change_end", 9.0, index=0, step="model.present", change=stream.change("pull phi3:3.8b"), applied=True)
    earlier = [stream.run_start(), stream.facts(), change]
    shown = "model.present: pull phi3:3.8b  4.0 s of at most 2 h 0 min"
    assert status_line(terminal([*earlier, manifest], now=8.0)) == [f"→ laptop-07  pulling manifest · {shown}"]
    assert status_line(terminal([*earlier, manifest, layer], now=8.0)) == [f"→ laptop-07  25 % of 4.0 GiB · {shown}"]
    assert status_line(terminal([*earlier, layer, end], now=9.0)) == ["→ laptop-07  checking the result  0.0 s"]


def test_off_a_terminal_each_tenth_of_a_pull_is_a_line_with_verbose() -> None:
    layers = [
        stream.event("change_progress", 6.0, index=0, status="pulling aa", completed=done << 20, total=100 << 20)
        for done in range(0, 31, 2)
    ]
    for verbose, said in ((False, []), (True, ["0 % of 100 MiB", "10 % of 100 MiB", "20 % of 100 MiB", "30 % of 100 MiB"])):
        out = io.StringIO()
        plain = Terminal(PlainScreen(out), verbose=verbose)
        for event in layers:
            plain(event)
        assert [line.removeprefix("  progress  ") for line in out.getvalue().splitlines()[1:]] == said


def test_a_host_that_ended_has_no_live_line() -> None:
    assert status_line(terminal([stream.run_start(), *stream.repair()], now=20.0)) == []


def test_a_fleet_shows_counts_and_not_more_hosts_than_fit() -> None:
    hosts = [f"dev-{number:02}" for number in range(64)]
    working = [stream.facts(host) for host in hosts[10:30]]
    done = [event for host in hosts[:10] for event in stream.repair(host)]
    rows = status_line(terminal([stream.run_start(*hosts), *done, *working], now=133.0))
    assert rows[0].startswith("64 hosts  ▕███")
    assert "10 done · 20 working · 34 waiting   2 min 13 s" in rows[0]
    assert len(rows) == 1 + MOST + 1
    assert rows[-1] == f"… and {20 - MOST} more"
    assert all(len(row) <= WIDTH for row in rows)


def test_on_a_terminal_the_lasting_lines_are_the_same_as_off_it() -> None:
    plain, live = io.StringIO(), io.StringIO()
    console = Console(file=live, width=200, force_terminal=True, color_system=None, highlight=False)
    screen = LiveScreen(console)
    for made in (Terminal(PlainScreen(plain)), Terminal(screen)):
        for event in stream.whole():
            made(event)
    screen.close()
    assert [row.rstrip() for row in live.getvalue().splitlines()] == plain.getvalue().splitlines()
