"""The action that controls the run."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from remediation.modules.contract import Action


class Meta(Action):
    """Control the run itself."""

    free: ClassVar[str] = "free_form"

    free_form: Literal[
        "noop",
        "flush_handlers",
        "end_host",
        "end_play",
        "end_batch",
        "clear_host_errors",
        "clear_facts",
        "reset_connection",
        "end_role",
        "refresh_inventory",
    ] = Field(..., description="what to do")
