"""Actions that add tasks."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from remediation.modules.contract import Action


class IncludeTasks(Action):
    """Run the tasks of a file, which is selected at run time."""

    free: ClassVar[str] = "file"

    file: str = Field(..., description="the file")
    apply: dict[str, Any] | None = Field(None, description="keywords applied to its tasks")


class ImportRole(Action):
    """Add the tasks of a role."""

    name: str | None = Field(None, description="the role")
    role: str | None = Field(None, description="the role (the same as name)")
    tasks_from: str | None = Field(None, description="file in its tasks/, instead of main")
    vars_from: str | None = Field(None, description="file in its vars/, instead of main")
    defaults_from: str | None = Field(None, description="file in its defaults/, instead of main")
    handlers_from: str | None = Field(None, description="file in its handlers/, instead of main")
    allow_duplicates: bool = Field(default=True, description="accepted for compatibility; the role always runs")
    rolespec_validate: bool = Field(default=True, description="whether the role's argument_specs are checked")
    public: bool = Field(default=True, description="whether the play's other tasks see the role's variables")

    @model_validator(mode="after")
    def _check_name(self) -> ImportRole:
        if not (self.name or self.role):
            msg = "expected name: ROLE"
            raise ValueError(msg)
        return self


class IncludeRole(ImportRole):
    """Run the tasks of a role, which is selected at run time."""

    public: bool = Field(default=False, description="whether later tasks see the role's variables")
    apply: dict[str, Any] | None = Field(None, description="keywords applied to its tasks")
