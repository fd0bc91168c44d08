"""JSON from a host: read within limits, with one kind of error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from remediation.model.limits import JSON_DEPTH, JSON_DIGITS, JSON_SIZE, JSON_VALUES

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = f"the JSON text is nested deeper than {JSON_DEPTH} levels"


def load_json(text: str | bytes, size: int = JSON_SIZE) -> Any:
    """Return the value of a JSON text. Raises `ValueError` if it is invalid or exceeds a limit.

    NaN and Infinity are rejected, as are numbers too large for any field. An unpaired surrogate, which no encoding can write,
    becomes U+FFFD. If a key occurs twice, the last value counts.
    """
    if len(text) > size:
        raise ValueError(f"the JSON text is longer than {size} characters")
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), errors="replace")
    if sum(map(text.count, ",[{")) > JSON_VALUES:
        raise ValueError(f"the JSON text has more than {JSON_VALUES} values")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(value)
    return _pair_surrogates(value) if _SURROGATE.search(text) else value


def _whole(text: str) -> int:
    if len(text) > JSON_DIGITS:
        raise ValueError(f"the JSON text has a number with more than {JSON_DIGITS} digits")
    return int(text)


def _decimal(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"the JSON text has a number that is too large: {text[:JSON_DIGITS]}")
    return value


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON value")


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_decimal, parse_constant=_constant)


def _check_depth(value: object) -> None:
    """Check the depth level by level, because later readers of the value may recurse."""
    level: list[object] = [value]
    for _ in range(JSON_DEPTH):
        level = [child for each in level for child in _children(each) if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _pair_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_pair_surrogates(key): _pair_surrogates(each) for key, each in value.items()}
    return [_pair_surrogates(each) for each in value] if isinstance(value, list) else value
