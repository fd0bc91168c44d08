"""Actions that report: `debug`, `assert` and `fail`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from remediation.modules.contract import Action


class Debug(Action):
    """Print a message, or the value of a variable."""

    rules: ClassVar[Mapping[str, Any]] = {"mutually_exclusive": [["msg", "var"]]}

    msg: Any = Field(None, description="what to print")
    var: Any = Field(None, description="a variable or expression to print")
    verbosity: int = Field(0, description="lowest number of -v at which it is printed")

    @model_validator(mode="after")
    def _check_form(self) -> Debug:
        if {"msg", "var"} <= self.model_fields_set:
            msg = "msg and var are mutually exclusive"
            raise ValueError(msg)
        return self


class Assert(Action):
    """Fail unless all conditions hold."""

    that: Any = Field(..., description="a condition, or a list of conditions")
    fail_msg: Any = Field(None, alias="msg", description="message if a condition is false")
    success_msg: Any = Field(None, description="message if all conditions are true")
    quiet: bool = Field(default=False, description="print less")

    @field_validator("that")
    @classmethod
    def _check_condition(cls, given: Any) -> Any:
        if given is None:
            raise ValueError("is empty; write a condition, or a list of conditions")
        return given


class Fail(Action):
    """Fail with a message."""

    strange: ClassVar[str] = "Invalid options for {module}: {names}"

    msg: Any = Field("Failed as requested from task", description="why")
