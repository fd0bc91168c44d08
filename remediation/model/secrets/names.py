"""Names that mark a value as secret, and the forms of common secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

MASK = "***"
"""Replaces every secret in the program's output."""

_ANSIBLES = re.compile(r"^ansible_(\w+_)?(pass|password|passphrase)$")
_SECRET_NAME = re.compile(
    r"(?:^|[_.-])(?:pass|token)$|[_.-]pwd$"
    r"|(?:password|passwd|passphrase|passcode|secret|api[_-]?key|private[_-]?key|secret[_-]?key|access[_-]?key|credentials?)$"
    r"|(?-i:[a-z]Token$)",
    re.IGNORECASE,
)
_WORD = r"password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|secret[_-]?key|access[_-]?key"

# Every pattern here is linear: a repetition is bounded, or nothing before it can match the same text.
_URL_LOGIN = re.compile(r"(?<=://)([^\s/?#:@\"'<>`]{0,256}:)([^\s/\"'<>`]{1,1024})(?=@)")
_AUTHORIZATION = re.compile(
    r"(?P<kept>Authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:Bearer|Basic|Token|Digest)\s{1,4})(?P<hidden>(?:[^\s\"',;\\]|\\(?![\"'])){4,8192})",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(
    rf"(?P<kept>(?<![A-Za-z])(?:{_WORD})[\"']?=[\"']?)(?P<hidden>(?!\d{{1,20}}\b|\$|VALUE\b|\.\.\.|…)(?:[^\s\"',;}}\]{{\\]|\\(?![\"'])){{1,4096}})",
    re.IGNORECASE,
)
_DECLARED = re.compile(
    r"(?P<kept>(?<![a-z])(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|SECRET_?KEY|ACCESS_?KEY)[\"']?:[ \t]{1,8}[\"']?)"
    r"(?P<hidden>(?!\d{1,20}\b|[!$|>{*&])(?:[^\s\"',;}\]{\\]|\\(?![\"'])){1,4096})"
)
"""An environment variable as declared in YAML and JSON (``HF_TOKEN: hf_...``)."""
_TOKEN = re.compile(
    r"(?<![\w-])(?:sk-[A-Za-z0-9_-]{16,512}|gh[pousr]_[A-Za-z0-9]{20,512}|github_pat_\w{20,512}|glpat-[\w-]{16,512}|hf_[A-Za-z0-9]{20,512}"
    r"|xox[abp]-[A-Za-z0-9-]{10,512}|eyJ[\w-]{10,2048}\.[\w-]{10,4096}\.[\w-]{1,2048}|AKIA[A-Z0-9]{16})"
)
_KEY_BEGINS, _KEY_ENDS = "PRIVATE KEY-----", "-----END"
_LEAST_TOKEN = 16
_KEY_LINE = re.compile(rf"[A-Za-z0-9+/]{{{_LEAST_TOKEN},}}={{0,2}}")


def is_password(name: str) -> bool:
    """Return whether a variable is a password by Ansible's naming."""
    return _ANSIBLES.search(name) is not None


def sounds_secret(name: str) -> bool:
    """Return whether a variable's name marks its value as secret."""
    return len(name) <= _LONGEST_NAME and _SECRET_NAME.search(name) is not None


_LONGEST_NAME = 256


def url_passwords(text: str) -> Iterator[str]:
    """Yield the passwords of the URLs in `text` (``https://user:password@host``), as written and decoded."""
    if "://" in text:
        for found in _URL_LOGIN.finditer(text):
            yield from dict.fromkeys((found[2], unquote(found[2]), unquote_plus(found[2])))


def without_private_keys(text: str) -> tuple[str, list[str]]:
    """Return `text` without the bodies of private keys in PEM form, and the lines of those bodies; a key may be cut off."""
    lines: list[str] = []
    kept: list[str] = []
    at = 0
    while (begin := text.find(_KEY_BEGINS, at)) >= 0:
        begin += len(_KEY_BEGINS)
        end = text.find(_KEY_ENDS, begin)
        end = len(text) if end < 0 else end
        lines += _KEY_LINE.findall(text, begin, end)
        kept += [text[at:begin], MASK]
        at = end
    return "".join([*kept, text[at:]]), lines


def header_tokens(text: str) -> Iterator[str]:
    """Yield what ``Authorization`` headers in `text` hold, if it is long enough to be no word."""
    if "uthorization" in text or "UTHORIZATION" in text:
        for found in _AUTHORIZATION.finditer(text):
            if len(found["hidden"]) >= _LEAST_TOKEN:
                yield found["hidden"]


def without_evident_secrets(text: str) -> str:
    """Return `text` without secrets recognizable by form: logins in URLs, ``Authorization`` headers, ``password=...``, tokens."""
    if "://" in text:
        text = _URL_LOGIN.sub(rf"\1{MASK}", text)
    if "uthorization" in text or "UTHORIZATION" in text:
        text = _AUTHORIZATION.sub(rf"\g<kept>{MASK}", text)
    if "=" in text:
        text = _ASSIGNMENT.sub(rf"\g<kept>{MASK}", text)
    if ":" in text:
        text = _DECLARED.sub(rf"\g<kept>{MASK}", text)
    return without_tokens(text)


def without_tokens(text: str) -> str:
    """Return `text` without access tokens of well-known services."""
    return _TOKEN.sub(MASK, text)
