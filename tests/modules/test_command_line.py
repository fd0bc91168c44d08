"""A command line falls into the words that the host's own programs would see."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.modules.commands.command_line import split_command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"C:\Windows\System32\nvidia-smi.exe -L", [r"C:\Windows\System32\nvidia-smi.exe", "-L"]),
        (r'"C:\Program Files\Docker\docker.exe" ps -a', [r"C:\Program Files\Docker\docker.exe", "ps", "-a"]),
        ('powershell -NoProfile -Command "Get-Service Ollama"', ["powershell", "-NoProfile", "-Command", "Get-Service Ollama"]),
        (r'a "b\\" c', ["a", "b\\", "c"]),
        (r"a \\server\share\x", ["a", r"\\server\share\x"]),
        (r"a b\"c", ["a", 'b"c']),
        (r'a "b\"c d" e', ["a", 'b"c d', "e"]),
        ('a "b""c" d', ["a", 'b"c', "d"]),
        ('a "" b', ["a", "", "b"]),
        ("a 'b c'", ["a", "'b", "c'"]),
        ("  a \t b  ", ["a", "b"]),
        ("", []),
    ],
)
def test_windows_splits_by_its_own_rules(text: str, words: list[str]) -> None:
    assert split_command(text, windows=True) == words


@given(
    st.lists(
        st.text(
            st.characters(
                codec="utf-8", exclude_characters="\n\r\t\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029", exclude_categories=["Zs", "Cs"]
            )
            | st.just(" ")
        ),
        min_size=1,
    )
)
def test_what_python_joins_for_windows_is_split_into_the_same_words(words: list[str]) -> None:
    assert split_command(subprocess.list2cmdline(words), windows=True) == words


def test_posix_splits_as_a_shell_quotes() -> None:
    assert split_command(r"printf '%s\n' a\ b", windows=False) == ["printf", r"%s\n", "a b"]


@pytest.mark.parametrize("windows", [True, False])
def test_an_open_quote_is_a_mistake(windows: bool) -> None:
    with pytest.raises(ValueError, match="No closing quotation"):
        split_command('a "b', windows=windows)
