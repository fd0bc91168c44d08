"""A secret is masked in every form in which the program, or a program that it starts, writes it."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, urlencode
from xml.sax.saxutils import escape, quoteattr

import markupsafe
import pytest
import yaml
from jinja2.utils import htmlsafe_json_dumps

from remediation.model.errors import InputError, Problem, UsageError
from remediation.model.secrets.masking import MASK, Masker, secrets_in
from remediation.model.secrets.names import sounds_secret

SECRETS = (
    "S'ecr\"et\\one 77",
    "pa55/w+rd=é€",
    "line one\nline two of it",
    "<&'\">$`;|",
    "correcthorse",
    "a'b\"c",
    "\\\\unc\\share 1",
)


def base64_of(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(text.encode(encoding)).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda secret: f"x {secret} y",
    "repr": repr,
    "repr in a list": lambda secret: repr([secret, {"a": secret}]),
    "repr with the other quotes": lambda secret: repr(f"{secret} '\""),
    "ascii": ascii,
    "json": lambda secret: json.dumps({"a": secret}),
    "json, readable": lambda secret: json.dumps({"a": secret}, ensure_ascii=False),
    "json in json": lambda secret: json.dumps(json.dumps({"a": secret})),
    "repr of json": lambda secret: repr(json.dumps({"a": secret})),
    "json of Jinja": lambda secret: str(htmlsafe_json_dumps(secret)),
    "yaml": lambda secret: yaml.safe_dump({"a": secret}, allow_unicode=True),
    "yaml, single quotes": lambda secret: yaml.safe_dump({"a": secret}, default_style="'", allow_unicode=True),
    "yaml, double quotes": lambda secret: yaml.safe_dump({"a": secret}, default_style='"'),
    "yaml, folded": lambda secret: yaml.safe_dump({"a": f"{'x ' * 35}{secret} {'y ' * 20}"}, default_style="'", allow_unicode=True),
    "yaml, folded in double quotes": lambda secret: yaml.safe_dump({"a": f"{'x ' * 35}{secret} {'y ' * 20}"}, default_style='"'),
    "shell": lambda secret: shlex.join(["echo", secret]),
    "shell, quotes closed": lambda secret: "'" + secret.replace("'", "'\\''") + "'",
    "Windows command line": lambda secret: subprocess.list2cmdline(["echo", secret]),
    "PowerShell": lambda secret: "'" + secret.replace("'", "''") + "'",
    "base64": base64_of,
    "base64, urlsafe": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "Basic": lambda secret: f"Basic {base64_of(f'user:{secret}')}",
    "Basic, another length": lambda secret: f"Basic {base64_of(f'me:{secret}')}",
    "base64, in the middle": lambda secret: base64_of(f"password={secret}\n"),
    "base64 of json": lambda secret: base64_of(json.dumps({"password": secret})),
    "EncodedCommand": lambda secret: base64_of(f"Connect -Password '{secret.replace(chr(39), chr(39) * 2)}'", "utf-16-le"),
    "url": quote,
    "url, everything": lambda secret: quote(secret, safe=""),
    "url, form": quote_plus,
    "url, lower case": lambda secret: re.sub("%..", lambda match: match[0].lower(), quote(secret, safe="")),
    "query": lambda secret: urlencode({"password": secret}),
    "html": html.escape,
    "html, template": lambda secret: str(markupsafe.escape(secret)),
    "xml": escape,
    "xml attribute": quoteattr,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_no_form_of_a_secret_is_left(form: str, secret: str) -> None:
    written = FORMS[form](secret)
    masked = Masker([secret])(written)
    assert MASK in masked
    assert not runs(secret, 6) & runs(masked, 6)
    if form.startswith(("base64", "Basic", "Encoded")):
        assert len(masked) <= len(written) - 4 * len(secret.encode()) // 3 + 2 * len(MASK)


def runs(text: str, length: int) -> set[str]:
    """Return all parts of a text that are so long."""
    return {text[at : at + length] for at in range(len(text) - length + 1)}


def test_one_secret_inside_another_leaves_no_rest() -> None:
    assert Masker(["hunter22", "hunter22-long"])("hunter22-long hunter22") == f"{MASK} {MASK}"


def test_a_line_of_a_long_secret_is_one_too() -> None:
    key = "-----BEGIN KEY-----\nMIIBVgIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
    mask = Masker([key])
    assert mask(["MIIBVgIBADANBgkq", "  hkiG9w0BAQEFAASC", "and"]) == [MASK, f"  {MASK}", "and"]
    assert mask(f"key: |\n  {key.replace(chr(10), chr(10) + '  ')}") == f"key: |\n  {MASK}\n  "


def test_a_short_secret_is_masked_where_a_name_says_so_and_nowhere_else() -> None:
    mask = Masker(["abc"])
    assert mask({"password": "abc", "pin_token": 12, "text": "abc of it", "use_token": True}) == {
        "password": MASK, "pin_token": MASK, "text": "abc of it", "use_token": True,
    }  # fmt: skip
    assert mask("--password=abc https://me:abc@host/ abc") == f"--password={MASK} https://me:{MASK}@host/ abc"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see https://u:pw12345@host/x", f"see https://u:{MASK}@host/x"),
        ("https://u:p@ss:w@host/x", f"https://u:{MASK}@host/x"),
        ("https://host/x@y:z", "https://host/x@y:z"),
        ("http://127.0.0.1:11434/api", "http://127.0.0.1:11434/api"),
        ('{"Authorization": "Bearer abc.def"}', f'{{"Authorization": "Bearer {MASK}"}}'),
        ("Authorization: Basic dTpw", f"Authorization: Basic {MASK}"),
        ("Basic authentication over http is refused", "Basic authentication over http is refused"),
        ("run it with api_token=TOKENVALUE99", f"run it with api_token={MASK}"),
        ("  HF_TOKEN: abcdef", f"  HF_TOKEN: {MASK}"),
        ("EOS token = 2, max_token=4096, the password: wrong", "EOS token = 2, max_token=4096, the password: wrong"),
        ("give it: -e api_token=VALUE", "give it: -e api_token=VALUE"),
        ("hf_abcdefghijklmnopqrstuvwx", MASK),
    ],
)
def test_what_is_evidently_a_secret_need_not_be_known(text: str, left: str) -> None:
    assert Masker()(text) == left
    assert Masker()(left) == left


def test_what_readers_of_events_rely_on_stays() -> None:
    event = {"outcome": "changed", "change": {"summary": "changed it", "before": None}}
    assert Masker(["changed", "summary"])(event) == {"outcome": "changed", "change": {"summary": f"{MASK} it", "before": None}}


@pytest.mark.parametrize(
    "name",
    ["password", "ansible_password", "ansible_ssh_pass", "MYSQL_PASSWORD", "PGPASSWORD", "hf_token", "apiToken", "client_secret",
     "api_key", "apikey", "aws_secret_access_key", "private-key", "db_pwd", "credentials"],
)  # fmt: skip
def test_names_that_sound_secret(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize(
    "name", ["compass", "tokens", "first_token_s", "eos_token_id", "monkey", "password_file", "PWD", "bypass"]
)
def test_names_that_do_not(name: str) -> None:
    assert not sounds_secret(name)


def test_secrets_are_found_however_deep_they_are() -> None:
    value = {
        "db": {"password": "one1", "port": 5432}, "credentials": {"user": "two2", "list": ["three3", {"x": 4444}]},
        "url": "ftp://me:five%205@host", "plain": "six6", "flag_token": True,
    }  # fmt: skip
    assert set(secrets_in(value)) == {"one1", "two2", "three3", "4444", "five%205", "five 5"}


def test_errors_are_masked_in_all_their_parts() -> None:
    mask = Masker(["hunter22"])
    assert str(mask.error(UsageError("no hunter22", next_step="try hunter22"))) == f"no {MASK}\n  next: try {MASK}"
    error = InputError((Problem("no hunter22", None, "1 | x: hunter22"),))
    assert "hunter22" not in f"{mask.error(error)}{error.problems}{error.args}"


def test_many_secrets_are_found_as_one_is() -> None:
    secrets: list[Any] = [f"{number:03}-secret-{number * 7919 % 1000:03}" for number in range(500)]
    mask = Masker(secrets)
    text = " and ".join(secrets[::7])
    assert mask(text) == " and ".join([MASK] * len(secrets[::7]))


KEY = "-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\n"
BODY = "\n".join(base64.b64encode(bytes(range(start, start + 48))).decode() for start in (0, 60, 120))


@pytest.mark.parametrize("kind", ["OPENSSH ", "RSA ", "EC ", "ENCRYPTED ", ""])
@pytest.mark.parametrize("form", ["whole", "cut off", "json"])
def test_a_private_key_is_masked_wherever_it_is_printed(kind: str, form: str) -> None:
    masker = Masker()
    text = KEY.format(kind=kind, body=BODY)
    text = json.dumps(text) if form == "json" else text[:150] if form == "cut off" else text
    shown = masker({"stdout": text, "stdout_lines": text.splitlines()})
    assert f"BEGIN {kind}PRIVATE KEY" in shown["stdout"]
    assert not [line for line in BODY.split("\n") if line[:40] in text and line[:40] in json.dumps(shown)]


def test_a_public_key_and_a_certificate_are_no_secrets() -> None:
    text = KEY.format(kind="", body=BODY).replace("PRIVATE", "PUBLIC")
    assert Masker().text(text) == text


def test_the_token_of_a_header_is_masked_in_the_words_of_its_command_too() -> None:
    command = ["curl", "-H", "Authorization: Bearer", "abcdef0123456789abcdef", "x"]
    shown = Masker()({"cmd": " ".join(command), "argv": command})
    assert shown == {"cmd": "curl -H Authorization: Bearer *** x", "argv": [*command[:3], "***", "x"]}


def test_hosts_that_print_many_keys_make_the_masker_no_slower_than_its_limit() -> None:
    masker = Masker()
    for number in range(60):
        body = "\n".join(base64.b64encode(f"{number}-{line}".encode() * 4).decode() for line in range(40))
        assert body.split("\n")[7] not in masker.text(KEY.format(kind="", body=body))
    assert len(masker._known) <= 2000
