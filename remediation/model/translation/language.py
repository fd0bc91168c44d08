"""The language to write in: an option, or the user's locale."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

ENGLISH = "en"
SPOKEN = (ENGLISH, "es")
"""The languages that can be written; each but English has a catalogue in ``remediation/locale``."""

_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
_NO_LANGUAGE = {"", "c", "posix"}
OPTION = "--lang"


def supported_language(name: str) -> str | None:
    """Return the language of a locale's name (``es_ES.UTF-8``, ``es-AR``, ``Spanish_Spain``), None if it is not spoken."""
    code = name.partition(".")[0].partition("@")[0].replace("-", "_").partition("_")[0].strip().lower()
    code = {"english": ENGLISH, "spanish": "es"}.get(code, code)
    return code if code in SPOKEN else None


def of_locale(environment: Mapping[str, str], platform: str = sys.platform) -> str:
    """Return the user's language as gettext finds it: ``LC_ALL``, ``LC_MESSAGES``, ``LANG``; ``LANGUAGE`` has the order of preference.

    As in GNU gettext, ``LANGUAGE`` counts only if the locale is not C. On Windows the user's locale decides without these variables.
    """
    locale = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    if not locale and platform == "win32":
        locale = _windows_locale()
    if locale.partition(".")[0].lower() in _NO_LANGUAGE:
        return ENGLISH
    wanted = [*environment.get("LANGUAGE", "").split(":"), locale]
    return next((code for name in wanted if name and (code := supported_language(name)) is not None), ENGLISH)


def language_option(words: Sequence[str]) -> str | None:
    """Return the value of ``--lang`` on a command line, None without one."""
    for index, word in enumerate(words):
        if word.startswith(f"{OPTION}="):
            return word.partition("=")[2]
        if word == OPTION and index + 1 < len(words):
            return words[index + 1]
    return None


def _windows_locale() -> str:
    """Return the name of the user's locale (``es-ES``)."""
    import ctypes

    if sys.platform != "win32":
        return ""
    buffer = ctypes.create_unicode_buffer(85)
    length = ctypes.windll.kernel32.GetUserDefaultLocaleName(buffer, len(buffer))
    return buffer.value if length else ""
