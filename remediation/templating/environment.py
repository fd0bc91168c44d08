"""Jinja2, sandboxed. What a template yields keeps its type when it is one value, and is text when it is several.

That is not Jinja's NativeEnvironment: text is never evaluated as a Python literal, so ``'33'`` stays text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, wraps
from itertools import chain
from types import GeneratorType
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes
from jinja2.compiler import Frame
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.sandbox import ImmutableSandboxedEnvironment

from remediation.templating.filters import FILTERS
from remediation.templating.lazy import materialised
from remediation.templating.secret import Secret, revealed
from remediation.templating.tests import TESTS

DROPPED = frozenset({"lipsum", "cycler", "joiner"})


def concat(parts: Iterable[Any]) -> Any:  # noqa: ANN401 - whatever the template yields
    """Return the one value that was yielded, or all of them as one text; a secret in it makes it secret."""
    values = list(parts)
    if not values:
        return None
    if len(values) == 1:
        return values[0]
    texts = [_text(value) for value in values]
    joined = "".join(texts)
    return Secret(joined) if any(isinstance(value, Secret) for value in values) else joined


def _text(value: object) -> str:
    if isinstance(value, Undefined):
        return str(value)  # StrictUndefined raises here, naming the variable
    return str(revealed(materialised(value)))


class Generator(NativeCodeGenerator):
    """Leaves constants alone: Jinja would fold ``{{ 1 + 1 }}`` into a text and count on it being evaluated as a literal."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> Any:  # noqa: ANN401 - as Jinja's
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


class Environment(ImmutableSandboxedEnvironment):
    """The one environment of all templates; it holds no variables."""

    code_generator_class = Generator
    concat = staticmethod(concat)

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, cache_size=0)
        self.filters.update({name: _hiding(function) for name, function in {**self.filters, **FILTERS}.items()})
        self.tests.update(TESTS)
        for name in DROPPED:
            self.globals.pop(name, None)

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - as Jinja's
        """Return an item before an attribute where `obj` is a mapping that has it: ``result.items`` is the user's."""
        if isinstance(obj, Mapping) and attribute in obj and not hasattr(dict, attribute):
            return obj[attribute]
        return super().getattr(obj, attribute)


def _hiding(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the filter so that it works on a secret's text and gives a secret back."""

    @wraps(function)
    def call(*values: Any, **named: Any) -> Any:  # noqa: ANN401 - any filter's
        if not any(isinstance(value, Secret) for value in chain(values, named.values())):
            result = function(*values, **named)
            return list(result) if isinstance(result, GeneratorType) else result  # `map(...) | last` wants a list
        result = function(*map(revealed, values), **{name: revealed(value) for name, value in named.items()})
        return Secret(result) if isinstance(result, str) else result

    return call


ENVIRONMENT = Environment()


@lru_cache(maxsize=4096)
def compiled(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return the template `text` as a function of a mapping of names; raises Jinja's TemplateSyntaxError."""
    return _compiled(_with_backslashes(text))


def _with_backslashes(text: str) -> str:
    r"""Return `text` so that a backslash in a string inside of braces is one: ``'(\d+)'`` is a pattern, as in Ansible."""
    if "\\" not in text or "{{" not in text:
        return text
    parts: list[str] = []
    inside = False
    try:
        for _line, kind, value in ENVIRONMENT.lex(text):
            inside = (inside or kind == "variable_begin") and kind != "variable_end"
            parts.append(value.replace("\\", "\\\\") if inside and kind == "string" else value)
    except TemplateSyntaxError:
        return text  # compiling it says what is wrong
    return "".join(parts)


def _compiled(text: str) -> Callable[[Mapping[str, Any]], Any]:
    template = ENVIRONMENT.from_string(text)

    def render(names: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever it yields
        context = template.new_context(names, shared=True)  # type: ignore[arg-type]
        return concat(template.root_render_func(context))

    return render


@lru_cache(maxsize=4096)
def expression(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return the expression `text` (without braces) as a function of names; raises Jinja's TemplateSyntaxError."""
    return _compiled("{{" + _checked(text) + "}}")


def _checked(text: str) -> str:
    ENVIRONMENT.compile_expression(text)  # a text that closes the braces by itself is no expression
    return f" {text} "
