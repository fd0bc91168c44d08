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
from remediation.model.facts.server import reach_advice, snap_advice
from remediation.steps.ollama.settings import SettingsPlace

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


def test_a_drop_in_that_the_login_cannot_read_is_known_by_what_systemd_has() -> None:
    secret, own = f"{UNIT}.d/secret.conf", f"{UNIT}.d/zz-remediation.conf"
    more = f"show DropInPaths={secret} {own}\ngiven OLLAMA_LLM_LIBRARY=cuda\ngiven OLLAMA_HOST=127.0.0.1:11500\ncat # {own}\ncat [Service]\n"
    found = from_script(SCRIPT.replace("envfile", f"{more}envfile"))
    hidden = next(one for one in found.settings if one.name == "OLLAMA_LLM_LIBRARY")
    assert (hidden.value, hidden.file, hidden.wins) == ("cuda", secret, True)
    assert found.unit is not None
    assert secret not in found.unit.files
    unset = from_script(SCRIPT.replace("envfile", f"{more}cat UnsetEnvironment=OLLAMA_LLM_LIBRARY\nenvfile"))
    assert "OLLAMA_LLM_LIBRARY" not in unset.declared
    stale = from_script(SCRIPT.replace("envfile", "given OLLAMA_LLM_LIBRARY=cuda\nenvfile"))
    assert "OLLAMA_LLM_LIBRARY" not in stale.declared, "every file can be read, and systemd has not read the newer one yet"


def test_a_masked_unit_is_named_with_the_command_that_lets_it_start() -> None:
    masked = "unit ollama.service\nshow LoadState=masked\nshow ActiveState=inactive\nshow MainPID=0\n"
    found = from_script(masked)
    assert found.unit is not None
    assert (found.manager, found.unit.state, found.unit.pid) == (Manager.SYSTEMD, "masked", None)
    assert found.unit.how_to_start == "sudo systemctl unmask ollama && sudo systemctl start ollama"
    by_hand = from_script(f"server 5 maria /opt/ollama\ngroup 5 /user.slice\nreadable 5\n{masked}")
    assert (by_hand.manager, by_hand.unit) == (Manager.PROCESS, None)
    other = from_script(f"server 5 maria /opt/ollama\nreadable 5\nenv 5 OLLAMA_HOST=:11500\n{masked}", "http://127.0.0.1:11434")
    assert other.elsewhere is not None


def test_a_snap_is_changed_and_restarted_by_its_own_commands() -> None:
    found = from_script(SCRIPT.replace("llm.service", "snap.ollama.listener.service"))
    assert found.unit is not None
    assert (found.unit.snap, found.how_to_restart) == ("ollama", "sudo snap restart ollama")
    assert snap_advice("ollama", {"OLLAMA_CONTEXT_LENGTH": "4096", "OLLAMA_HOST": None}) == (
        "run sudo snap set ollama context-length=4096 && sudo snap unset ollama host && sudo snap restart ollama"
    )
    assert "passes no OLLAMA_NUM_PARALLEL: install" in snap_advice("ollama", {"OLLAMA_NUM_PARALLEL": "1"})


@pytest.mark.parametrize(
    ("group", "engine", "cure", "restart"),
    [
        ("/machine.slice/libpod-01.scope", "Podman", "quadlet", "podman restart"),
        ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-01.scope", "Docker", "docker_host", "docker restart"),
    ],
)
def test_a_container_of_an_engine_that_is_not_reached_is_no_process_started_by_hand(
    group: str, engine: str, cure: str, restart: str
) -> None:
    found = from_script(f"server 5 root /bin/ollama\ngroup 5 {group}\nreadable 5\n")
    assert found.contained is not None
    assert (found.manager, found.contained.engine) == (Manager.NOTHING, engine)
    assert found.words == f"a container of {engine} that this login does not reach (process 5)"
    assert cure in reach_advice(found.contained)
    assert found.how_to_restart.startswith(restart)


def test_a_unit_of_another_users_manager_is_named_with_that_user() -> None:
    group = "/user.slice/user-1000.slice/user@1000.service/app.slice/homebrew.ollama.service"
    found = from_script(f"server 5 lena /opt/ollama\ngroup 5 {group}\nown 5 homebrew.ollama.service\nreadable 5\n")
    assert (found.manager, found.words) == (Manager.PROCESS, "the user service homebrew.ollama of lena")
    assert found.how_to_restart == "systemctl --user restart homebrew.ollama, as its user"
    place = SettingsPlace(found, {}, (), ())
    assert place.by_hand(["A"], {"B": "1"}) == (
        "as lena, run systemctl --user edit homebrew.ollama, add [Service] and UnsetEnvironment=A, "
        'Environment="B=1", then systemctl --user restart homebrew.ollama'
    )
