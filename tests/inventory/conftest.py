"""Inventories written for a test."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write files, given by their path and their text, and return the first of them (``inv/hosts.yml`` unless it is named)."""

    def write(text: str = "", files: Mapping[str, str] | None = None, name: str = "inv/hosts.yml") -> Path:
        for each, content in {name: text, **(files or {})}.items():
            path = tmp_path / each
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(content), encoding="utf-8")
        return tmp_path / name

    return write
