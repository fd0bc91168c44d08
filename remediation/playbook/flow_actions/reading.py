"""Actions that read a host."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from remediation.modules.contract import Action, Duration


class SetupFacts(Action):
    """Gather the host's facts."""

    gather_subset: Any = Field(None, description="all, min, hardware, network, virtual, gpu, ollama; ! excludes one")
    filter: Any = Field(None, description="patterns of the names to keep")
    gather_timeout: Duration = Field(60, description="seconds after which the host has not answered")
    fact_path: str | None = Field(None, description="folder of local facts (*.fact)")


class Measure(Action):
    """Measure the response time of the loaded model, before and after a repair."""

    label: Literal["before", "after"] = Field(
        "after", description="whether this is the measurement before or after; before uses at most 8 tokens"
    )
    model: str | None = Field(None, description="model name; defaults to the target's")
