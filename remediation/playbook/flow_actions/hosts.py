"""Actions that add hosts and groups to the inventory of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, model_validator

from remediation.modules.contract import Action


class AddHost(Action):
    """Add a host to the inventory for the rest of the run, or change its groups and variables. Runs once for all hosts."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    open: ClassVar[bool] = True
    aliases: ClassVar[Mapping[str, str]] = {
        "host": "name", "hostname": "name", "group": "groups", "groupname": "groups"
    }  # fmt: skip

    lacking: ClassVar[Mapping[str, str]] = {"name": "name, host or hostname needs to be provided"}

    name: str = Field(..., description="the host, with its port if that is another one: NAME:PORT", min_length=1)
    groups: list[str] = Field(default_factory=list, description="groups, which are created if there are none of that name")

    @model_validator(mode="before")
    @classmethod
    def _as_ansible_reads(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        found = {cls.aliases.get(str(name), str(name)): value for name, value in given.items()}
        if isinstance(found.get("groups"), str):
            found["groups"] = [name for part in found["groups"].split(",") if (name := part.strip())]
        return {name: value for name, value in found.items() if name != "groups" or value is not None}


class GroupBy(Action):
    """Add each host to a group of the given name for the rest of the run."""

    strange: ClassVar[str] = "Invalid options for {module}: {names}"
    lacking: ClassVar[Mapping[str, str]] = {"key": "the 'key' param is required when using group_by"}

    key: str = Field(..., description="the group; spaces become -", min_length=1)
    parents: list[str] = Field(default_factory=lambda: ["all"], description="groups that contain the group")

    @model_validator(mode="before")
    @classmethod
    def _check_parent(cls, given: Any) -> Any:
        one = isinstance(given, Mapping) and isinstance(given.get("parents"), str)
        return {**given, "parents": [given["parents"]]} if one else given
