"""Templates that use too many resources end in an error; ordinary templates do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediation.model.errors import Place
from remediation.templating import patterns
from remediation.templating.errors import TemplateError
from remediation.templating.templar import Scope, flaw
from remediation.templating.yaml.located import Text, mark_trusted

TOO_MUCH = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{{ 10 ** 5000 }}",
    "{{ (10 ** 3000) * (10 ** 3000) }}",
    "{{ 'a' | center(10**9) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ '1'.zfill(10**9) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ '{:>{w}}'.format(1, w=10**9) }}",
    "{{ 'a' | indent(10**9) }}",
    "{{ [1] | slice(10**9) | list }}",
    "{{ [1] | batch(10**9, 0) | list }}",
    "{{ {'a': 1} | to_json(indent=10**9) }}",
    "{{ {'a': 1} | to_nice_yaml(indent=10**9) }}",
    "{{ 'a' | comment(prefix_count=10**9) }}",
    "{{ range(10**9) | list }}",
    "{{ range(99999) | product(range(99999)) | list | length }}",
    "{{ range(99) | permutations(9) | list | length }}",
    "{{ range(99) | combinations(20) | list | length }}",
    "{{ range(99999) | join('x' * 9999) }}",
    "{{ ('x' * 9999).join(range(99999) | map('string')) }}",
    "{{ ('x' * 99999).replace('x', 'y' * 9999) }}",
    "{{ ('x' * 99999) | replace('x', 'y' * 9999) }}",
    "{{ ('x' * 99999) | regex_replace('x', 'y' * 9999) }}",
    "{{ ('x' * 99999) | regex_replace('', 'y' * 9999) }}",
    "{{ range(99999) | map('center', 9999) | list | length }}",
    "{{ query('sequence', end=10**9) }}",
    "{{ query('nested', range(9999) | list, range(9999) | list) }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
    "{% set n = namespace(s=99) %}{% for i in range(60) %}{% set n.s = n.s * n.s %}{% endfor %}{{ n.s }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ ('[' * 99999) | from_json }}",
    "{{ ('[' * 99999) | from_yaml }}",
    "{{ ('a' * 30 ~ 'b') | regex_search('(a+)+$') }}",
    "{{ ('a' * 30 ~ 'b') is match('(a|a)*$') }}",
]


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.3)


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("template", TOO_MUCH)
def test_too_much_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        Scope([{}]).render(Text(template))


@pytest.mark.parametrize("template", TOO_MUCH)
def test_nothing_is_evaluated_where_a_template_is_only_read(template: str) -> None:
    assert flaw(Text(template)) == ""


def test_variables_draw_on_the_budget_of_the_template_that_uses_them() -> None:
    levels = {f"v{n}": "{% for i in range(90) %}{{ v" + str(n + 1) + " }}{% endfor %}" for n in range(9)}
    scope = Scope([mark_trusted({"d": {**levels, "v9": "x"}, "big": "{{ 'x' * 15000000 }}", "two": "{{ big }}{{ big }}"})])
    with pytest.raises(TemplateError, match="result too large"):
        scope.render(Text("{{ two }}"))
    assert len(scope.render(Text("{{ big }}"))) == 15_000_000


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ '-' * 80 }}", "-" * 80),
        ("{{ 2 ** 100 }}", 2**100),
        ("{{ '%03d' | format(7) }} {{ '%5.1f%%' % 12.34 }}", "007  12.3%"),
        ("{{ range(1000) | sum }}", 499500),
        (
            "{% for i in range(3) %}{{ loop.index }}/{{ loop.length }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1/3,2/3,3/3",
        ),
        ("{{ [1, 2] | product([3]) | list }}", [[1, 3], [2, 3]]),
        ("{{ (' a' * 3000) | regex_findall('a') | length }}", 3000),
        ("{{ ('key=value ' * 20) | regex_search('((?P<k>\\w+)=(?P<v>\\w+) ?)+$', '\\g<k>', '\\2') }}", ["key", "key"]),
        ("{{ ('1.2.3.' * 9) | regex_replace('(\\d+\\.)+', 'v') }}", "v"),
        ("{{ ('a.b.c-' * 9) is search('^([a-z.]+-)*$') }}", True),
    ],
)
def test_what_people_write_is_evaluated(template: str, value: Any) -> None:
    assert Scope([{}]).render(Text(template)) == value


def test_a_large_included_template_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.j2").open("wb") as file:
        file.truncate(17 * 1024**2)
    scope = Scope([{"playbook_dir": str(tmp_path)}])
    for template in ("{% include 'large.j2' %}", "{{ lookup('template', 'large.j2') }}", "{{ lookup('file', '/dev/zero') }}"):
        with pytest.raises(TemplateError, match=r"larger than 16 MiB|not a regular file"):
            scope.render(Text(template))


@pytest.mark.parametrize(
    "pattern", ["(a+)+", "(a|b)*", "(?:a*b?)+", "(?P<x>\\w+\\s?)*$", "([a-z]+){2,}", "((a+)b)+", "(a{1,20})+"]
)
def test_what_repeats_what_varies_is_seen(pattern: str) -> None:
    assert patterns.is_nested(pattern)


@pytest.mark.parametrize(
    "pattern", ["a+b+", "(abc)+", "(?:ab)+", "(a|b)c", "[(a+)]+", r"\(a+\)+", "(a?){3}", "web(-[0-9])?", "(a+)(b+)", "[]a+]*"]
)
def test_what_repeats_the_same_is_no_nested_repetition(pattern: str) -> None:
    assert not patterns.is_nested(pattern)


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "9" * 5000 + " }}",
        "{{ 0x" + "f" * 5000 + " }}",
        "{{ f(a=1, a=2) }}",
        "{% macro m(b, b) %}{% endmacro %}",
        "{% for a in [1] %}" * 25 + "{% endfor %}" * 25,
        "{% if a %}" * 150 + "{% endif %}" * 150,
    ],
)
def test_what_python_does_not_compile_is_a_mistake_in_the_template(template: str) -> None:
    assert flaw(Text(template)).startswith("invalid template: ")


DEEP = {
    "parentheses": ("(", "1", ")"),
    "negations": ("not ", "true", ""),
    "sums": ("", "1", "+1"),
    "filters": ("", "1", "|string"),
    "attributes": ("", "a", ".b"),
    "lists": ("[", "", "]"),
    "loops": ("{% for i in [1] %}", "1", "{% endfor %}"),
    "conditions": ("{% if true %}", "1", "{% endif %}"),
    "branches": ("", "{% if false %}", "{% elif false %}"),
}


@pytest.mark.parametrize("depth", [100, 300, 20_000])
@pytest.mark.parametrize("shape", DEEP)
def test_a_template_that_is_nested_too_deeply_is_refused_where_it_is_read(shape: str, depth: int) -> None:
    before, middle, after = DEEP[shape]
    inner = before * depth + middle + after * depth + ("{% endif %}" if shape == "branches" else "")
    template = Text(inner if "{%" in inner else "{{ " + inner + " }}")
    problem = flaw(template)
    assert not problem or "invalid template: " in problem
    assert problem or depth < 20_000
    if problem:
        with pytest.raises(TemplateError, match="invalid template"):
            Scope([{}]).render(template)


def test_a_template_is_as_long_as_can_be_compiled() -> None:
    assert flaw(Text("{{ 1 + 1 }}" * 100_000)) == (
        "invalid template: more than 1,000,000 characters, in '" + ("{{ 1 + 1 }}" * 100_000)[:119] + "…'"
    )
    assert Scope([{"x": "a"}]).render(Text("{{ x }}" + "b" * 2_000_000)) == "a" + "b" * 2_000_000  # only text and variables


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 5 % 0 }}", "division by zero"),
        ("{{ 'x' | from_json }}", "invalid JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{{ [3, 'a'] | sort }}", "'<' not supported between instances of 'str' and 'int'"),
        ("{{ 'a' + 1 }}", 'can only concatenate str (not "int") to str'),
    ],
)
def test_an_error_of_an_expression_names_it_and_its_place_without_a_class_of_python(text: str, said: str) -> None:
    place = Place("a.yml", 3, 5)
    for value, scope in ((Text(text, place), Scope(())), (mark_trusted("{{ x }}"), Scope(({"x": Text(text, place)},)))):
        with pytest.raises(TemplateError) as caught:
            scope.render(value)
        assert (caught.value.message, caught.value.place) == (f"{said} in {text!r}", place)
