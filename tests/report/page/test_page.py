"""What the page of a run shows: memory, figures, time, causes, and what people must do."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from remediation.model.event import Event
from remediation.report.html import html
from remediation.report.page.charts import Part, Series, Span, lines, stacked_bar, timeline
from remediation.report.page.memory import memory_picture
from remediation.report.page.render import code_spans, render
from remediation.report.page.timeline import HostTime
from tests.report import stream


class Tags(HTMLParser):
    """The tags of a page with their attributes, and whether they are balanced."""

    VOID = frozenset({"meta", "input", "br", "rect", "line", "polyline"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        assert self.open.pop() == tag


def of_host(name: str, *, outcome: str = "", reason: str = "", next_step: str = "", cause: str = "") -> list[Event]:
    """The events of a host that ends otherwise than a repaired one."""
    events = stream.repair(name)
    if cause:
        diagnosis = {**stream.DIAGNOSIS, "findings": [{**stream.DIAGNOSIS["findings"][0], "cause": cause}]}
        events = [replace(each, data={"diagnosis": diagnosis}) if each.kind == "findings" else each for each in events]
    if outcome:
        fields = {"outcome": outcome, "ignored": False, "reason": reason, "msg": reason, "next_step": next_step}
        events[-2:] = [
            stream.event("task_result", 17.1, host=name, **fields),
            stream.event("host_end", 17.2, host=name, outcome=outcome, reason=reason),
        ]
    return events


def fleet(count: int) -> list[Event]:
    names = [f"dev-{number:03}" for number in range(count)]
    events = [stream.run_start(*names)]
    for number, name in enumerate(names):
        if number % 5 == 3:
            events += of_host(
                name, outcome="blocked", reason="closing chrome.exe is disruptive", next_step="add --max-risk disruptive"
            )
        elif number % 5 == 4:
            events += of_host(name, outcome="failed", reason="17/33 layers", cause="explicit_num_gpu")
        else:
            events += of_host(name)
    return [*events, stream.run_end(*names, code=2)]


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]+>", " ", page, flags=re.DOTALL))


@pytest.mark.parametrize("count", [1, 12])
def test_the_page_is_balanced_and_its_links_lead_somewhere(count: int) -> None:
    found = Tags(html(fleet(count)))
    assert found.open == []
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {f"#{each}" for each in ids} >= {attributes["href"] for tag, attributes in found.tags if tag == "a"}


def test_every_chart_has_a_label_or_repeats_a_figure_next_to_it() -> None:
    charts = [attributes for tag, attributes in Tags(html(fleet(3))).tags if tag == "svg"]
    assert charts
    assert all(("aria-label" in each and each.get("role") == "img") != ("aria-hidden" in each) for each in charts)


def test_the_memory_shows_who_holds_what_before_and_after() -> None:
    picture = memory_picture({"before": stream.BEFORE, "after": stream.AFTER})
    assert picture is not None
    fields = {one["name"]: (one.get("before"), one.get("after")) for one in picture["legend"]}
    assert fields == {
        "mistral:7b-instruct-q4_K_M": ("0.3 GiB", "4.9 GiB"), "chrome.exe": ("2.3 GiB", None), "Discord.exe": ("1.9 GiB", None),
        "Code.exe": ("0.4 GiB", "0.4 GiB"), "not attributed": ("0.2 GiB", "0.2 GiB"), "free": ("0.9 GiB", "0.5 GiB"),
    }  # fmt: skip
    assert picture["total"] == "6.0 GiB"
    assert (
        'aria-label="graphics memory before, 6.0 GiB: mistral:7b-instruct-q4_K_M 0.3 GiB, chrome.exe 2.3 GiB'
        in picture["bars"][0]["chart"]
    )


def test_a_program_keeps_its_colour_and_small_programs_share_one() -> None:
    many = [(f"p{number}.exe", 0.1 * (number + 1)) for number in range(8)]
    picture = memory_picture(
        {"before": {"memory": stream.memory(0.3, *many)}, "after": {"memory": stream.memory(0.3, *many[4:])}}
    )
    assert picture is not None
    named = [one["name"] for one in picture["legend"]]
    assert named == [
        "mistral:7b-instruct-q4_K_M",
        "p7.exe",
        "p6.exe",
        "p5.exe",
        "p4.exe",
        "other programs",
        "not attributed",
        "free",
    ]


def test_amounts_that_contradict_the_total_stay_within_the_bar_and_are_marked() -> None:
    memory = {**stream.memory(5.0, ("chrome.exe", 4.0)), "used": 5.5 * stream.GIB, "reliable": False}
    picture = memory_picture({"after": {"memory": memory}})
    assert picture is not None
    assert not picture["reliable"]
    widths = [float(width) for width in re.findall(r'width="([\d.]+)%"', picture["bars"][0]["chart"])]
    assert sum(widths) == pytest.approx(100, abs=0.1)


def test_a_run_without_memory_has_no_picture_of_it() -> None:
    figures = {name: value for name, value in stream.BEFORE.items() if name != "memory"}
    assert memory_picture({"before": figures, "after": {"memory": None}}) is None


def test_the_timeline_divides_all_of_a_hosts_time() -> None:
    time = HostTime(stream.START)
    for event in stream.repair():
        time.see(event)
    sums: dict[str, float] = {}
    for span in time.spans:
        sums[span.tone] = sums.get(span.tone, 0.0) + span.end - span.start
    assert sum(sums.values()) == pytest.approx(17.2)
    assert sums["changed"] == pytest.approx(4.0 + 5.0)
    assert sums["measured"] == pytest.approx(1.5 + 2.9)
    assert [span.name for span in time.spans if span.tone == "changed"] == ["close chrome.exe", "unload and load"]


def test_a_host_that_waits_for_its_turn_says_so() -> None:
    time = HostTime(stream.START)
    time.see(stream.event("task_start", 30.0, path="0.0"))
    time.see(stream.event("measurement", 32.0, label="before", figures=stream.BEFORE))
    assert [(span.tone, round(span.end)) for span in time.spans] == [("waited", 30), ("measured", 32)]


def test_the_figures_include_tokens_per_second() -> None:
    text = text_of(html(stream.whole()))
    assert "tokens per second ≈ 1.61 26.3" in text


def test_people_read_what_to_do_once_with_all_hosts() -> None:
    page = html(fleet(10))
    text = text_of(page)
    assert text.count("To do by hand") == 1
    assert "add --max-risk disruptive 2 hosts (2 vram_occupied) dev-003 , dev-008" in text
    assert "✗ 17/33 layers 2 hosts dev-004 , dev-009" in text


def test_causes_are_counted_with_their_outcomes() -> None:
    text = text_of(html(fleet(10)))
    assert "8 vram_occupied 6 repaired, 2 blocked" in text
    assert "2 explicit_num_gpu 2 failed" in text


def test_the_matrix_has_a_column_for_each_outcome_and_can_be_filtered() -> None:
    found = Tags(html(fleet(10)))
    rows = [attributes for tag, attributes in found.tags if tag == "tr" and "data-host" in attributes]
    assert len(rows) == 10
    assert [row["data-outcome"] for row in rows[:5]] == ["repaired", "repaired", "repaired", "blocked", "failed"]
    heads = re.findall(r'<th scope="col" class="m"><button type="button">([^<]+)', html(fleet(10)))
    assert heads == ["repaired", "failed", "blocked"]


def test_the_undo_command_names_the_host_of_a_fleet() -> None:
    assert "remediate undo 7f3a --limit dev-001" in html(fleet(2))


def test_a_poisoned_name_is_text_in_charts_too() -> None:
    bad = '"><script>alert(1)</script>'
    memory = stream.memory(1.0, (bad, 2.0))
    event = stream.event("measurement", 1.0, label="before", figures={**stream.BEFORE, "memory": memory})
    change = stream.event("change_start", 2.0, index=0, step="x", change=stream.change(bad))
    end = stream.event("change_end", 3.0, index=0, step="x", change=stream.change(bad), applied=True, seconds=1.0)
    page = html([stream.run_start("a", bad), event, change, end])
    assert "<script>alert" not in page
    assert Tags(page).open == []


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else() -> None:
    (policy,) = [attributes["content"] for _, attributes in Tags(html(stream.whole())).tags if attributes.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_300_hosts_stay_small() -> None:
    assert len(html(fleet(300)).encode()) < 5_000_000


def test_a_missing_value_interrupts_a_line() -> None:
    chart = lines([Series("x", [(0, 1.0), (1, None), (2, 2.0), (3, 2.0)], "k1")], (0, 3), 2.0, "title")
    assert chart.count("<polyline") == 2


def test_empty_charts_are_charts() -> None:
    assert stacked_bar([], 0, "nothing").startswith("<svg")
    assert timeline([Span(0, 0, "x", "looked")], 0, "nothing").startswith("<svg")
    assert "NaN" not in stacked_bar([Part("a", 0.0, "0 B", "k1")], 0, "t")


def test_words_in_backquotes_are_code_and_stay_escaped() -> None:
    assert code_spans("run `a <b>` & `c`") == "run <code>a &lt;b&gt;</code> &amp; <code>c</code>"
    assert code_spans("an odd ` <one>") == "an odd ` &lt;one&gt;"


def test_no_line_break_divides_an_option() -> None:
    assert code_spans("add --max-risk safe") == 'add <span class="option">--max-risk</span> safe'
    assert code_spans("`up -d` in-place") == '<code>up <span class="option">-d</span></code> in-place'


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_labels_on_bars_can_be_read(scheme: str) -> None:
    style = (Path(render.__code__.co_filename).parent / "page.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    colours = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6}|#fff)\b", light + (dark if scheme == "dark" else "")))
    label = luminance(colours["--label"].replace("#fff", "#ffffff") if len(colours["--label"]) == 4 else colours["--label"])
    for name, colour in colours.items():
        if name.startswith("--c") and name not in {"--c-free", "--c-unknown"}:
            high, low = sorted((label, luminance(colour)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, name, colour)
