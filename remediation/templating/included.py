"""``{% include %}``, ``{% import %}`` and ``{% extends %}``: files are searched for as ``lookup('template')`` does."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateNotFound
from jinja2.runtime import Context
from jinja2.utils import missing

from remediation.model.files import read_text
from remediation.templating.lookups.lists import folders, found_in


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


def source_of(name: str, names: Any) -> str:
    """Return the text of an included template. Raises `TemplateNotFound`, and OSError if it cannot be read."""
    path = found_in(str(name), folders(names, "templates")) if names is not None else None
    if path is None or Path(path).is_dir():
        raise TemplateNotFound(str(name))
    return read_text(path)
