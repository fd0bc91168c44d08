"""The language: ``--lang``, else the locale as GNU gettext reads it."""

from __future__ import annotations

import pytest

from remediation.model.translation.language import language_option, of_locale, supported_language


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "es_ES.UTF-8"}, "es"),
        ({"LANG": "es_AR"}, "es"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "es_ES", "LC_MESSAGES": "en_US"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "es_ES"}, "es"),
        ({"LANG": "es_ES", "LC_ALL": "C"}, "en"),
        ({"LANG": "es_ES", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "es_ES", "LC_ALL": ""}, "es"),
        ({"LANG": "en_US", "LANGUAGE": "fr:es:en"}, "es"),
        ({"LANG": "es_ES", "LANGUAGE": "en"}, "en"),
        ({"LANG": "C", "LANGUAGE": "es"}, "en"),
        ({"LANGUAGE": "es"}, "en"),
        ({"LANG": "../../etc/passwd"}, "en"),
    ],
)
def test_the_locale_names_the_language(environment: dict[str, str], language: str) -> None:
    assert of_locale(environment, "linux") == language


@pytest.mark.parametrize(
    ("name", "language"),
    [("es-ES", "es"), ("es-419", "es"), ("Spanish_Spain.1252", "es"), ("es@euro", "es"), ("en-GB", "en"), ("fr", None)],
)
def test_names_of_locales(name: str, language: str | None) -> None:
    assert supported_language(name) == language


@pytest.mark.parametrize(
    ("words", "value"),
    [(["--lang", "es"], "es"), (["verify", "--lang=es"], "es"), (["--lang"], None), (["--language", "es"], None), ([], None)],
)
def test_the_option_on_a_command_line(words: list[str], value: str | None) -> None:
    assert language_option(words) == value
