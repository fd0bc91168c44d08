"""A Compose file is edited in its text: what is not meant stays as it is, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from remediation.model.errors import CallFailed
from remediation.steps.compose.edit import with_devices, with_value
from remediation.steps.compose.text import ComposeText, sibling_path
from remediation.steps.file_edit import unified_diff

LISTED = """\
# the stack
services:
  ollama:
    image: ollama/ollama:0.13.5
    environment:
      - OLLAMA_NUM_GPU=99      # as many as possible
      # the next one is bad
      - "OLLAMA_LLM_LIBRARY=cuda"   # force the CUDA backend
      - OLLAMA_DEBUG=1

    ports: ["11434:11434"]
"""
MAPPED = """\
services:
  ollama:
    environment:
      OLLAMA_DEBUG: "1"   # on
      OLLAMA_LLM_LIBRARY: cuda
"""
MERGED = """\
x-common: &common
  OLLAMA_LLM_LIBRARY: cuda  # for all
  TZ: Europe/Madrid
services:
  ollama:
    environment:
      <<: *common
      OLLAMA_DEBUG: "1"
  api:
    environment: *common
"""
ALIASED = """\
x-env: &env
  - OLLAMA_LLM_LIBRARY=cuda
  - OLLAMA_DEBUG=1
services:
  ollama:
    environment: *env
"""


def edited(text: str) -> ComposeText:
    return ComposeText("c.yml", text)


def environment(text: str, service: str = "ollama") -> dict[str, str | None]:
    return {entry.name: entry.value for entry in edited(text).entries(service)}


def test_a_setting_in_list_form_goes_with_its_line_and_nothing_else() -> None:
    after = edited(LISTED).remove("ollama", ["OLLAMA_LLM_LIBRARY"])
    gone = [line for line in LISTED.splitlines() if "LLM_LIBRARY" in line]
    assert after == LISTED.replace(f"{gone[0]}\n", "")


def test_a_setting_in_map_form_goes() -> None:
    assert edited(MAPPED).remove("ollama", ["OLLAMA_LLM_LIBRARY"]) == MAPPED.replace("      OLLAMA_LLM_LIBRARY: cuda\n", "")


def test_a_merged_setting_goes_where_it_stands() -> None:
    assert environment(MERGED)["OLLAMA_LLM_LIBRARY"] == "cuda"
    after = edited(MERGED).remove("ollama", ["OLLAMA_LLM_LIBRARY"])
    assert after == MERGED.replace("  OLLAMA_LLM_LIBRARY: cuda  # for all\n", "")
    assert environment(after) == {"TZ": "Europe/Madrid", "OLLAMA_DEBUG": "1"}


def test_a_setting_behind_an_alias_goes_where_it_stands() -> None:
    after = edited(ALIASED).remove("ollama", ["OLLAMA_LLM_LIBRARY"])
    assert environment(after) == {"OLLAMA_DEBUG": "1"}
    assert "environment: *env" in after


def test_the_last_setting_takes_the_whole_block_because_compose_refuses_an_empty_one() -> None:
    text = "services:\n  ollama:\n    environment:\n      - OLLAMA_LLM_LIBRARY=cuda\n    image: x\n"
    assert edited(text).remove("ollama", ["OLLAMA_LLM_LIBRARY"]) == "services:\n  ollama:\n    image: x\n"


def test_windows_line_ends_stay() -> None:
    text = LISTED.replace("\n", "\r\n")
    after = edited(text).remove("ollama", ["OLLAMA_LLM_LIBRARY"])
    assert "\n" not in after.replace("\r\n", "")
    put = edited(text).put("ollama", "OLLAMA_MAX_LOADED_MODELS", "1")
    assert "      - OLLAMA_MAX_LOADED_MODELS=1\r\n" in put
    assert "\n" not in put.replace("\r\n", "")


@pytest.mark.parametrize("text", ["services:\n  ollama: {environment: [A=1, OLLAMA_LLM_LIBRARY=cuda, B=2]}\n",
                                  "services:\n  ollama: {environment: {A: '1', OLLAMA_LLM_LIBRARY: cuda, B: '2'}}\n"])  # fmt: skip
def test_one_line_forms_are_edited(text: str) -> None:
    assert environment(edited(text).remove("ollama", ["OLLAMA_LLM_LIBRARY"])) == {"A": "1", "B": "2"}
    assert environment(edited(text).remove("ollama", ["B"])) == {"A": "1", "OLLAMA_LLM_LIBRARY": "cuda"}
    assert environment(edited(text).put("ollama", "C", "3"))["C"] == "3"


def test_a_setting_is_changed_in_place_and_its_comment_stays() -> None:
    after = edited(LISTED).put("ollama", "OLLAMA_NUM_GPU", "1")
    assert after == LISTED.replace("OLLAMA_NUM_GPU=99 ", "OLLAMA_NUM_GPU=1 ")


def test_a_service_without_settings_gets_a_block() -> None:
    text = "services:\n    ollama:\n        image: x # tag\n"
    after = edited(text).put("ollama", "OLLAMA_DEBUG", "2")
    assert environment(after) == {"OLLAMA_DEBUG": "2"}
    assert after.endswith("        image: x # tag\n")


def test_a_file_that_does_not_end_with_a_line_end_is_edited() -> None:
    text = "services:\n  ollama:\n    environment:\n      - A=1"
    assert environment(edited(text).put("ollama", "B", "2")) == {"A": "1", "B": "2"}
    assert environment(edited(text + "\n      - B=2").remove("ollama", ["B"])) == {"A": "1"}


def test_a_tab_is_an_error_with_its_line() -> None:
    with pytest.raises(CallFailed, match=r"c\.yml:3: ") as raised:
        edited("services:\n  ollama:\n\tenvironment: []\n")
    assert raised.value.place is not None
    assert raised.value.place.line == 3
    assert "c.yml" in raised.value.next_step


def test_tags_and_anchors_of_compose_do_not_disturb() -> None:
    text = "services:\n  ollama:\n    ports: !reset []\n    environment: !override\n      - A=1\n      - B=2\n"
    assert environment(edited(text).remove("ollama", ["A"])) == {"B": "2"}


def test_what_compose_fills_in_is_known() -> None:
    text = "services:\n  ollama:\n    image: ollama/ollama:${TAG}\n    environment:\n      - A=${X:-1}\n      - B=$$HOME\n      - C\n"
    filled = {entry.name: entry.interpolated for entry in edited(text).entries("ollama")}
    assert filled == {"A": True, "B": False, "C": True}
    assert dict(edited(text).strings("ollama")) == {"image": "ollama/ollama:${TAG}", "environment": "A=${X:-1}"}


def test_included_and_extended_files_are_named() -> None:
    text = "include:\n  - path: ../gpu/c.yml\n  - more.yml\nservices:\n  ollama:\n    extends: {file: base.yml, service: o}\n"
    assert ComposeText("C:\\dev\\a\\c.yml", text).others() == [
        "C:\\dev\\gpu\\c.yml",
        "C:\\dev\\a\\more.yml",
        "C:\\dev\\a\\base.yml",
    ]
    assert sibling_path("/srv/a/c.yml", "../x.yml") == "/srv/x.yml"


@settings(max_examples=60)
@given(
    st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,8}", fullmatch=True), st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20), min_size=1, max_size=5),
    st.booleans(),
)  # fmt: skip
def test_whatever_is_put_is_read_back(pairs: dict[str, str], listed: bool) -> None:
    text = "services:\n  ollama:\n    image: x\n    environment:\n" + ("      - FIRST=1\n" if listed else '      FIRST: "1"\n')
    for name, value in pairs.items():
        text = edited(text).put("ollama", name, value)
    read = YAML(typ="safe").load(text)["services"]["ollama"]["environment"]
    found = dict(item.partition("=")[::2] for item in read) if listed else read
    assert found == {"FIRST": "1", **pairs}
    for name in pairs:
        text = edited(text).remove("ollama", [name])
    assert environment(text) == {"FIRST": "1"}


def test_nested_values_are_set_and_made() -> None:
    text = (
        "services:\n  ollama:\n    image: x\n    deploy:\n      resources:\n        limits:\n          memory: 8G  # too little\n"
    )
    changed = with_value("c.yml", text, "ollama", ("deploy", "resources", "limits", "memory"), "12G")
    assert changed == text.replace("8G", "12G")
    made = with_value("c.yml", changed, "ollama", ("deploy", "resources", "reservations", "memory"), "4G")
    resources = YAML(typ="safe").load(made)["services"]["ollama"]["deploy"]["resources"]
    assert resources == {"limits": {"memory": "12G"}, "reservations": {"memory": "4G"}}


def test_a_device_reservation_is_what_compose_takes() -> None:
    text = "services:\n  ollama:\n    image: x\n"
    read = YAML(typ="safe").load(with_devices("c.yml", text, "ollama"))
    assert read["services"]["ollama"]["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    ]


def test_nothing_is_put_into_a_service_on_one_line() -> None:
    with pytest.raises(CallFailed, match="in flow style"):
        with_devices("c.yml", "services: {ollama: {image: x}}\n", "ollama")


def test_a_diff_shows_no_line_that_did_not_change() -> None:
    before = "environment:\n  - API_KEY=hush\n  - OLLAMA_LLM_LIBRARY=cuda\n  - TOKEN=hush\n"
    shown = unified_diff("docker-compose.yml", before, before.replace("  - OLLAMA_LLM_LIBRARY=cuda\n", ""))
    assert "-  - OLLAMA_LLM_LIBRARY=cuda" in shown
    assert "hush" not in shown
