"""Actions that set variables."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from remediation.modules.contract import Action, UnfitError


class SetFact(Action):
    """Set variables of a host for the rest of the run."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    open: ClassVar[bool] = True

    cacheable: bool = Field(default=False, description="accepted for compatibility; facts are not kept beyond the run")


class IncludeVars(Action):
    """Load variables from a file."""

    free: ClassVar[str] = "file"
    strange: ClassVar[str] = "Task failed: {names} is not a valid option in include_vars"

    file: str | None = Field(None, description="file in vars/ or next to the playbook")
    dir: str | None = Field(None, description="folder of files, read in the order of their names")
    name: str | None = Field(None, description="variable that receives the loaded variables")
    depth: int = Field(0, description="how deep to look into dir; 0 is unlimited")
    extensions: Any = Field(None, description="endings of the files in dir; default: json, yaml, yml")
    files_matching: str | None = Field(None, description="regular expression that the names of the files in dir match")
    ignore_files: Any = Field(None, description="names of files in dir to leave out, as regular expressions")
    ignore_unknown_extensions: bool = Field(default=False, description="whether files in dir with other endings are left out")
    hash_behaviour: Literal["replace", "merge"] | None = Field(None, description="whether mappings are replaced or merged")

    @model_validator(mode="after")
    def _check_source(self) -> IncludeVars:
        if (self.file is None) == (self.dir is None):
            ansible_message = (
                "You are mixing file only and dir only arguments, these are incompatible" if self.file else "no file or dir"
            )
            raise UnfitError("expected either file or dir", f"Task failed: {ansible_message}")
        return self
