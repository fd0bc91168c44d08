"""Settings in systemd unit files: read as systemd reads them, and written to a drop-in that wins."""

from __future__ import annotations

import pytest

from remediation.facets.services.serving import from_script
from remediation.facets.services.unit_files import (
    drop_in_of,
    environment_lines,
    settings_in,
    settings_that_win,
    split_files,
    with_environment_line,
    with_settings,
    words,
)
from remediation.model.facts import Manager

UNIT = "/etc/systemd/system/ollama.service"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"A=b c" D=e', ["A=b c", "D=e"]),
        ("A='b c'", ["A=b c"]),
        ('A="b c" D=', ["A=b c", "D="]),
        (r'"A=\"x\" 100%%"', ['A="x" 100%']),
        (r"A=b\ c", ["A=b c"]),
        ("", []),
    ],
)
def test_words_are_split_as_systemd_splits_them(value: str, expected: list[str]) -> None:
    assert words(value) == expected


def read(*texts: str, **files: str) -> dict[str, str]:
    named = {f"{UNIT}.d/{number}.conf": text for number, text in enumerate(texts)}
    return settings_that_win(settings_in(named, files))


@pytest.mark.parametrize(
    ("texts", "files", "expected"),
    [
        (["[Service]\nEnvironment=A=1 B=2\n", "[Service]\nEnvironment=A=3\n"], {}, {"A": "3", "B": "2"}),
        (["[Service]\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\n"], {}, {"B": "2"}),
        (["[Service]\nEnvironment=A=1\n", "[Service]\nUnsetEnvironment=A\n"], {}, {}),
        (["[Service]\nEnvironment=A=1\n"], {"file": "A=2\n"}, {"A": "2"}),
        (["[Unit]\nEnvironment=A=1\n"], {}, {}),
        (["[Service]\nEnvironment=A=1 \\\n  # not this\n  B=2\n"], {}, {"A": "1", "B": "2"}),
        (['[Service]\nEnvironment="CUDA_VISIBLE_DEVICES =0"\n'], {}, {"CUDA_VISIBLE_DEVICES ": "0"}),
    ],
)
def test_which_source_wins(texts: list[str], files: dict[str, str], expected: dict[str, str]) -> None:
    assert read(*texts, **files) == expected


def test_each_setting_has_its_file_and_only_one_wins() -> None:
    found = settings_in({UNIT: "[Service]\nEnvironment=A=1\n", f"{UNIT}.d/override.conf": "[Service]\nEnvironment=A=2\n"}, {})
    assert [(one.file, one.value, one.wins) for one in found] == [(UNIT, "1", False), (f"{UNIT}.d/override.conf", "2", True)]


def test_an_environment_file_is_read_and_edited_by_line() -> None:
    text = "# mine\nA=1\nB='two words'\n;no\n\nbad line\n"
    assert environment_lines(text) == {"A": "1", "B": "two words"}
    assert with_environment_line(text, "A", "5") == "# mine\nB='two words'\n;no\n\nbad line\nA=\"5\"\n"
    assert with_environment_line(text, "A", None) == "# mine\nB='two words'\n;no\n\nbad line\n"


def test_what_is_written_wins_and_keeps_what_was_written_before() -> None:
    first = with_settings("", {"A": '1"%'}, ["B"])
    assert read("[Service]\nEnvironment=A=0 B=2 C=3\n", first) == {"A": '1"%', "C": "3"}
    second = with_settings(first, {"B": "x"}, ["A"])
    assert read("[Service]\nEnvironment=A=0 B=2 C=3\n", second) == {"B": "x", "C": "3"}


@pytest.mark.parametrize(
    ("fragment", "own", "expected"),
    [
        (UNIT, False, f"{UNIT}.d/zz-remediation.conf"),
        ("/usr/lib/systemd/system/ollama.service", False, f"{UNIT}.d/zz-remediation.conf"),
        (
            "/home/a/.config/systemd/user/ollama.service",
            True,
            "/home/a/.config/systemd/user/ollama.service.d/zz-remediation.conf",
        ),
    ],
)
def test_the_drop_in_is_next_to_the_unit_or_in_etc(fragment: str, own: bool, expected: str) -> None:
    assert drop_in_of(fragment, "ollama.service", own=own) == expected
    assert expected.rpartition("/")[2] > "override.conf"


def test_the_texts_that_systemctl_cat_prints_are_split() -> None:
    shown = f"# {UNIT}\n# a comment\n[Service]\nUser=ollama\n\n# {UNIT}.d/override.conf\n[Service]\nEnvironment=A=1\n"
    assert split_files(shown) == {
        UNIT: "# a comment\n[Service]\nUser=ollama\n", f"{UNIT}.d/override.conf": "[Service]\nEnvironment=A=1\n",
    }  # fmt: skip


SCRIPT = f"""\
server 77 ollama /usr/local/bin/ollama
group 77 /system.slice/llm.service
of 77 llm.service
readable 77
env 77 OLLAMA_HOST=127.0.0.1:11500
unit llm.service
show LoadState=loaded
show ActiveState=active
show MainPID=77
show FragmentPath={UNIT}
show NeedDaemonReload=no
cat # {UNIT}
cat [Service]
cat Environment=OLLAMA_HOST=127.0.0.1:11500
envfile /etc/default/ollama
line OLLAMA_DEBUG=1
"""


def test_the_unit_of_the_running_server_is_found_by_its_process() -> None:
    found = from_script(f"server 5 root /opt/ollama\ngroup 5 /user.slice\n{SCRIPT}")
    assert (found.manager, found.name, found.words) == (Manager.SYSTEMD, "llm.service", "the service llm")
    assert found.process is not None
    assert (found.process.pid, [one.pid for one in found.others]) == (77, [5])
    assert dict(found.declared) == {"OLLAMA_HOST": "127.0.0.1:11500", "OLLAMA_DEBUG": "1"}


def test_a_server_that_a_user_started_while_the_unit_is_stopped_is_a_process() -> None:
    stopped = SCRIPT.replace("MainPID=77", "MainPID=0").replace("ActiveState=active", "ActiveState=inactive")
    found = from_script(
        stopped.replace("of 77 llm.service\n", "").replace("/system.slice/llm.service", "/user.slice/session-3.scope")
    )
    assert (found.manager, found.unit, found.words) == (Manager.PROCESS, None, "the process 77 that ollama started")


def test_the_server_of_a_container_is_not_a_native_one() -> None:
    found = from_script("wsl yes\nserver 5 root /usr/bin/ollama\ngroup 5 /system.slice/docker-0123.scope\n")
    assert (found.manager, found.wsl) == (Manager.NOTHING, True)
