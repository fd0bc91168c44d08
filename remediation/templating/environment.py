"""The Jinja2 environment, sandboxed. A template of one expression keeps the type of its value; otherwise the result is text.

This differs from Jinja's NativeEnvironment: text is never evaluated as a Python literal, so ``'33'`` stays text.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from functools import cached_property, lru_cache, wraps
from itertools import chain, islice
from pathlib import Path
from types import CodeType, GeneratorType
from typing import Any

from jinja2 import (
    ChainableUndefined,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    Undefined,
    nodes,
    pass_context,
)
from jinja2.compiler import Frame
from jinja2.lexer import Lexer, Token
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment
from jinja2.utils import missing

from remediation.model.files import read_text
from remediation.model.text.yaml_limits import LONGEST_NUMBER
from remediation.templating.filters.common import FILTERS, require_defined
from remediation.templating.filters.formats import json_filter
from remediation.templating.jinja_tests import TESTS
from remediation.templating.lazy import OMIT, materialize
from remediation.templating.limits import (
    BUDGET,
    MOST,
    affordable,
    check_filter,
    check_format,
    check_method,
    multiply,
    power,
    remainder,
)
from remediation.templating.lookups.lists import folders, found_in
from remediation.templating.lookups.single import now
from remediation.templating.yaml.located import looks_like_template
from remediation.templating.yaml.secret import Secret, reveal

UNDEFINED_TOO = frozenset({"d", "default", "defined", "mandatory", "ternary", "type_debug", "undefined"})
"""Filters and tests that accept undefined values; any other returns undefined for them, as in Ansible."""


def with_qualified_names(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return functions under their own names and under ``ansible.builtin.``."""
    return {f"{prefix}{name}": function for prefix in ("", "ansible.builtin.") for name, function in named.items()}


def plainly(function: Callable[..., Any], values: Iterable[Any], named: Mapping[str, Any]) -> Any:
    """Call a function with the plain texts of secrets."""
    return function(*map(_open, values), **{name: _open(value) for name, value in named.items()})


def holds_secret(value: object) -> bool:
    """Return whether a value is a secret, or a list that contains one."""
    return isinstance(value, Secret) or (isinstance(value, (list, tuple)) and any(isinstance(item, Secret) for item in value))


def is_secret(value: object) -> bool:
    """Return whether a value is a secret (``vault_encrypted``)."""
    return isinstance(value, Secret)


def _open(value: object) -> object:
    return [reveal(item) for item in value] if isinstance(value, (list, tuple)) and holds_secret(value) else reveal(value)


def as_secret(result: Any) -> Any:
    """Return the result of processing a secret; its texts are secret again."""
    if isinstance(result, str):
        return Secret(result)
    return [as_secret(item) for item in result] if isinstance(result, (list, tuple, GeneratorType)) else result


def _find_undefined(name: str, values: Iterable[Any]) -> Undefined | None:
    """Return the first undefined value, None if there is none or the filter or test accepts it."""
    return None if name in UNDEFINED_TOO else next((value for value in values if isinstance(value, Undefined)), None)


def reveal_secrets(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a test: it receives the plain texts of secrets, and is not called with undefined values."""

    @wraps(function)
    def call(*values: Any, **named: Any) -> Any:
        missing = _find_undefined(name, chain(values, named.values()))
        if missing is not None:
            return missing
        return function(*values, **named) if function is is_secret else plainly(function, values, named)

    return call


def hide_result(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter: it receives the plain texts of secrets and returns a secret; its result counts against the budget."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0  # the environment, or the context

    @wraps(function)
    def call(*values: Any, **named: Any) -> Any:
        missing = _find_undefined(name, chain(values[first:], named.values()))
        if missing is not None:
            return missing
        if values[first:]:
            check_filter(name, tuple(map(_open, values[first:])), named)
        if any(map(holds_secret, chain(values, named.values()))):
            return as_secret(plainly(function, values, named))
        result = function(*values, **named)
        if isinstance(result, Iterator):
            result = list(islice(result, MOST + 1))  # `map(...) | last` needs a list
        return BUDGET.spend(result, name)

    return call


LONGEST = 1_000_000
"""Maximum length of a template in characters; compiling a million takes seconds."""
DROPPED = frozenset({"lipsum", "cycler", "joiner"})
LOOKUP_FUNCTIONS = frozenset({"lookup", "query", "q"})


def concat(parts: Iterable[Any]) -> Any:
    """Return the only value, or all values joined as text; a secret among them makes the text secret."""
    values = list(parts)
    if not values:
        return None
    if len(values) > 1:  # None between texts is omitted, as in Ansible
        values = [value for value in values if value is not None] or [None]
    if len(values) == 1:
        return values[0]
    return join_values([value for value in values if value is not OMIT])


def join_values(values: Iterable[Any]) -> Any:
    """Return the values joined as text (``~``); a secret among them makes the text secret."""
    parts = list(values)
    texts = [_text(value) for value in parts]
    affordable(sum(map(len, texts)), "~")
    whole = BUDGET.spend("".join(texts), "~")
    return Secret(whole) if any(isinstance(value, Secret) for value in parts) else whole


def _text(value: object) -> str:
    if isinstance(value, Undefined):
        return str(value)  # StrictUndefined raises here, naming the variable
    return str(reveal(materialize(value)))


class Generator(NativeCodeGenerator):
    """Disables constant folding: Jinja would fold ``{{ 1 + 1 }}`` into text and rely on literal evaluation."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> Any:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        """Join with `join_values`, so that a secret among the parts makes the result secret."""
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:
        """Evaluate string literals that are templates among a lookup's terms, as in Ansible."""
        if isinstance(node.node, nodes.Name) and node.node.name in LOOKUP_FUNCTIONS:
            node.args = [node.args[0], *map(_evaluate_literal, node.args[1:])] if node.args else []
        super().visit_Call(node, frame, forward_caller=forward_caller)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        """Count the iterations of the loop."""
        node.iter = nodes.Call(nodes.EnvironmentAttribute("turns"), [node.iter], [], None, None, lineno=node.lineno)
        super().visit_For(node, frame)


def _evaluate_literal(node: nodes.Expr) -> nodes.Expr:
    """Return the node of a literal; a text that is a template, also in a list, is evaluated."""
    if isinstance(node, nodes.List):
        return nodes.List(list(map(_evaluate_literal, node.items)), lineno=node.lineno)
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and looks_like_template(node.value):
        return nodes.Call(nodes.EnvironmentAttribute("rendered"), [node], [], None, None, lineno=node.lineno)
    return node


class Missing(ChainableUndefined, StrictUndefined):
    """An undefined value whose attributes are undefined too, so that ``a.b.c | default(...)`` works; any other use fails."""

    @property
    def _undefined_message(self) -> str:
        """The message about the missing part, with Ansible's names of types."""
        if self._undefined_hint or self._undefined_obj is missing:
            return str(super()._undefined_message)
        kind = type(self._undefined_obj).__name__
        return f"object of type {_TYPES.get(kind, kind)!r} has no attribute {self._undefined_name!r}"


_TYPES = {"LazyTable": "dict", "Rows": "list", "Scope": "HostVarsVars", "Secret": "str", "Table": "dict", "Text": "str"}
_JINJAS_PREFIX = re.compile(r"\bl_\d{1,9}_")


class BoundedLexer(Lexer):
    """Reports a number that is too long for Python as a syntax error of the template."""

    def wrap(
        self, stream: Iterable[tuple[int, str, str]], name: str | None = None, filename: str | None = None
    ) -> Iterator[Token]:
        """Yield the tokens with their values."""
        return super().wrap(map(self._check_bound, stream), name, filename)

    @staticmethod
    def _check_bound(token: tuple[int, str, str]) -> tuple[int, str, str]:
        lineno, kind, text = token
        if kind == "integer" and len(text) > LONGEST_NUMBER:
            raise TemplateSyntaxError(f"a number has at most {LONGEST_NUMBER:,} digits", lineno)
        return token


@contextmanager
def readable(source: object) -> Iterator[None]:
    """Raise `TemplateSyntaxError` if a template is too long or too deep to compile."""
    if isinstance(source, str) and len(source) > LONGEST:
        raise TemplateSyntaxError(f"more than {LONGEST:,} characters", 1)
    try:
        yield
    except (RecursionError, MemoryError):
        raise TemplateSyntaxError("nested too deeply", 1) from None


class LazyContext(Context):
    """The names of a template; passing them to an included template evaluates none."""

    def get_all(self) -> Any:
        """Return all names."""
        return ChainMap(self.vars, self.parent) if self.vars else self.parent


class LazyTemplate(Template):
    """A template whose names are evaluated on use, including those of included templates."""

    def new_context(self, vars: Any = None, shared: bool = False, locals: Mapping[str, Any] | None = None) -> Context:
        """Return the context of one rendering."""
        own = {name: value for name, value in (locals or {}).items() if value is not missing}
        names: Any = {} if vars is None else vars
        names = ChainMap(own, names) if own else names
        return self.environment.context_class(self.environment, names, self.name, self.blocks, globals=self.globals)


@pass_context
def _render(context: Context, text: str) -> Any:
    return compile_text(text)(context.parent)


class Environment(ImmutableSandboxedEnvironment):
    """The environment of all templates; it holds no variables."""

    code_generator_class = Generator
    context_class = LazyContext
    template_class = LazyTemplate
    concat = staticmethod(concat)
    joined = staticmethod(join_values)
    rendered = staticmethod(_render)
    turns = staticmethod(BUDGET.each)
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        # nothing is evaluated at compile time: evaluation counts against the evaluating template's budget
        super().__init__(undefined=Missing, keep_trailing_newline=True, trim_blocks=True, cache_size=0, optimized=False)
        self.filters.update(
            with_qualified_names({name: hide_result(name, each) for name, each in {**self.filters, **FILTERS}.items()})
        )
        self.filters["_render"] = _render
        tests: dict[str, Any] = {**self.tests, **TESTS, "vault_encrypted": is_secret}
        self.tests.update(with_qualified_names({name: reveal_secrets(name, function) for name, function in tests.items()}))
        self.globals |= {"now": now, "undef": self._undef}
        self.policies["json.dumps_function"] = (
            json_filter  # of `tojson`; json.dumps takes mappings that are read lazily for empty
        )
        self.binop_table |= {"*": multiply, "**": power, "%": remainder}
        for name in DROPPED:
            self.globals.pop(name, None)

    @cached_property
    def lexer(self) -> Lexer:
        """Return the lexer, created once."""
        return BoundedLexer(self)

    def _compile(self, source: str, filename: str) -> CodeType:
        """Compile Jinja's generated code. Python rejects some of it: a duplicate argument, blocks that are too deep."""
        try:
            return super()._compile(source, filename)
        except (SyntaxError, ValueError, OverflowError) as error:
            message = error.msg if isinstance(error, SyntaxError) else str(error)
            raise TemplateSyntaxError(_JINJAS_PREFIX.sub("", message), 1) from None

    def parse(self, source: str, name: str | None = None, filename: str | None = None) -> nodes.Template:
        """Return the syntax tree of a template."""
        with readable(source):
            return super().parse(source, name, filename)

    def compile(self, source: Any, *given: Any, **named: Any) -> Any:
        """Return the code of a template."""
        with readable(source):
            return super().compile(source, *given, **named)

    def compile_expression(self, source: str, undefined_to_none: bool = True) -> Any:
        """Return an expression as a function."""
        with readable(source):
            return super().compile_expression(source, undefined_to_none)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Evaluate an operator whose result may be much larger than its operands."""
        return BUDGET.spend(super().call_binop(context, operator, left, right), operator)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - as Jinja's
        """Call a function or method; mapping views become lists of defined values, as in Ansible."""
        name = getattr(__obj, "__name__", "")
        check_method(getattr(__obj, "__self__", None), name, args)
        result = super().call(__context, __obj, *args, **kwargs)
        if isinstance(result, ItemsView):
            result = [[key, require_defined(value)] for key, value in result]
        elif isinstance(result, (KeysView, ValuesView)):
            result = list(map(require_defined, result))
        return BUDGET.spend(result, name) if isinstance(result, (str, bytes, list)) else result

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return ``format`` with a limit on the widths in its format string."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def filled(*values: Any, **named: Any) -> str:
            inner = values[0].values() if values and isinstance(values[0], Mapping) else ()
            check_format(value.__self__, chain(values, named.values(), inner))
            return wrapped(*values, **named)

        return filled

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> Any:
        """Return a template included by another one."""
        return compiled_template(source_of(name, BUDGET.names).removesuffix("\n"))

    def _undef(self, hint: str | None = None) -> Undefined:
        return self.undefined(hint=hint)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow a template to modify lists and mappings that it created itself, never a variable."""
        if type(obj) in {list, dict}:
            return SandboxedEnvironment.is_safe_attribute(self, obj, attr, value)
        return super().is_safe_attribute(obj, attr, value)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an item before an attribute if `obj` is a mapping that has it: ``result.items`` may be a key."""
        if isinstance(obj, Mapping) and attribute in obj and not hasattr(dict, attribute):
            return obj[attribute]
        if isinstance(obj, Secret):
            return self._secret(obj, attribute)
        return super().getattr(obj, attribute)

    def _secret(self, secret: Secret, attribute: str) -> Any:
        """Return a string method whose result is secret; not ``format``, which the sandbox must check."""
        if attribute.startswith(("_", "format")) or not hasattr(str, attribute):
            return self.undefined(obj=secret, name=attribute)
        method = getattr(secret.reveal(), attribute)
        return lambda *values, **named: as_secret(plainly(method, values, named))


ENVIRONMENT = Environment()


@lru_cache(maxsize=4096)
def compile_text(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return the template `text` as a function of a mapping of names. Raises Jinja's TemplateSyntaxError."""
    source = _with_backslashes(text)
    if not source.endswith("\n"):
        return _compile_format(source)
    ends = len(source) - len(source.rstrip("\n"))
    evaluate = _compile_format(source[:-1])

    def ended(names: Mapping[str, Any]) -> Any:
        """Return the value; a text keeps the newlines at its end, another type than text has none, as in Ansible."""
        value = evaluate(names)
        if not isinstance(value, (str, Secret)):
            return value
        shown = str(reveal(value))
        lost = ends - (len(shown) - len(shown.rstrip("\n")))
        return value + "\n" * lost if lost > 0 else value

    return ended


def _with_backslashes(text: str) -> str:
    r"""Return `text` with backslashes in string literals doubled: ``'(\\d+)'`` is a pattern, as in Ansible."""
    if "\\" not in text or "{{" not in text or len(text) > LONGEST:
        return text
    parts: list[str] = []
    inside = False
    try:
        for _line, kind, value in ENVIRONMENT.lex(text):
            inside = (inside or kind == "variable_begin") and kind != "variable_end"
            parts.append(value.replace("\\", "\\\\") if inside and kind == "string" else value)
    except TemplateSyntaxError:
        return text  # compiling it reports the error
    return "".join(parts)


@lru_cache(maxsize=1024)
def compiled_template(text: str) -> Any:
    """Return Jinja's template object of `text`. Raises TemplateSyntaxError."""
    return ENVIRONMENT.from_string(text)


_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_WORDS = frozenset({"true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else"})


def _simple(text: str) -> list[str] | None:
    """Return the parts of a template of plain variables only, text and names in turn; None for other templates."""
    parts = _VARIABLE.split(text)
    hard = any(mark in part for part in parts[::2] for mark in ("{{", "}}", "{%", "{#", "\r"))
    return None if hard or any(name in _WORDS for name in parts[1::2]) else parts


def _compile_format(text: str) -> Callable[[Mapping[str, Any]], Any]:
    parts = _simple(text)
    if parts is not None:  # most templates; compiling one takes longer than evaluating it a hundred times

        def fill(names: Mapping[str, Any]) -> Any:
            with BUDGET.outermost():
                return concat(_look_up(part, names) if index % 2 else part for index, part in enumerate(parts) if part)

        return fill
    template = compiled_template(text)

    def render(names: Mapping[str, Any]) -> Any:
        context = template.new_context(names, shared=True)
        with BUDGET.outermost(names):
            return concat(template.root_render_func(context))

    return render


def _look_up(name: str, names: Mapping[str, Any]) -> Any:
    return names[name] if name in names else ENVIRONMENT.undefined(name=name)


@lru_cache(maxsize=4096)
def expression(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return the expression `text` (without braces) as a function of names. Raises Jinja's TemplateSyntaxError."""
    return _compile_format("{{" + _with_templates(_check(text)) + "}}")


def _check(text: str) -> str:
    ENVIRONMENT.compile_expression(text)  # rejects text that closes the braces
    return f" {text} "


def _with_templates(text: str) -> str:
    """Return an expression in which strings that are templates are evaluated (``when: state == '{{ wanted }}'``), as in Ansible."""
    if not looks_like_template(text):
        return text
    tokens = [(kind, value) for _line, kind, value in ENVIRONMENT.lex("{{" + text + "}}")][1:-1]
    return "".join(f"({value}|_render)" if kind == "string" and looks_like_template(value) else value for kind, value in tokens)


def source_of(name: str, names: Any) -> str:
    """Return the text of an included template. Raises `TemplateNotFound`, and OSError if it cannot be read."""
    path = found_in(str(name), folders(names, "templates")) if names is not None else None
    if path is None or Path(path).is_dir():
        raise TemplateNotFound(str(name))
    return read_text(path)
