"""Reads the samples that ``monitor --record`` wrote, line by line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from remediation.model.facts import Gpu, GpuUse, Process, Runner
from remediation.report.gpus import Sample

T = TypeVar("T")


def sample_from_json(value: Mapping[str, Any]) -> Sample:
    """Return the sample that `Sample.to_json` wrote. Raises `ValueError` if it is none."""
    host, at = value.get("host"), _number(value.get("time"))
    if value.get("event") != "sample" or not isinstance(host, str) or at is None:
        raise ValueError("not a sample")
    if "gpus" not in value:
        return Sample(host, at, error=str(value.get("error") or "unknown error"), reached=value.get("reached") is True)
    use = GpuUse(tuple(_each(value["gpus"], _gpu)), tuple(_each(value.get("processes"), _process)))
    return Sample(
        host, at, use, tuple(_each(value.get("models"), _runner)), silent=str(value.get("ollama") or ""),
        rate=_number(value.get("tokens_per_second")),
    )  # fmt: skip


def _each(values: object, read: Callable[[Mapping[str, Any]], T]) -> list[T]:
    return [read(one) for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def _gpu(one: Mapping[str, Any]) -> Gpu:
    total, used, free = (_whole(one.get(name)) for name in ("total", "used", "free"))
    driver = str(one.get("driver_version") or "")
    return Gpu(
        _whole(one.get("index")) or 0,
        "",
        str(one.get("name") or ""),
        driver,
        total,
        used,
        free,
        utilization=_whole(one.get("utilization")),
    )


def _process(one: Mapping[str, Any]) -> Process:
    return Process(_whole(one.get("pid")) or 0, str(one.get("name") or ""), 0.0, vram=_whole(one.get("vram")))


def _runner(one: Mapping[str, Any]) -> Runner:
    return Runner(str(one.get("model") or ""), _whole(one.get("size")) or 0, _whole(one.get("size_vram")) or 0)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e18 else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
