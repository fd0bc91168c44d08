"""``stat``, ``win_stat`` and ``slurp``: what is at a path."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from remediation.connections.calls import Failed, FileContent, ReadFile
from remediation.modules.contract import Module, ModuleTask
from remediation.modules.files.attributes import expand_path
from remediation.modules.result import ActionResult, done_result, failed_result

LARGEST = 64_000_000
"""Largest file in bytes that ``slurp`` returns."""


class Stat(Module):
    """Read what is at a path."""

    aliases: ClassVar[Mapping[str, str]] = {
        "attr": "get_attributes", "checksum_algo": "checksum_algorithm", "mime-type": "get_mime", "mime_type": "get_mime", "name": "path",
    }  # fmt: skip

    path: str = Field(..., alias="dest", description="the path")
    follow: bool = Field(default=False, description="describe the target of a link")
    get_checksum: bool = Field(default=True, description="return the checksum of a file")
    checksum_algorithm: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] = Field(
        "sha1", alias="checksum", description="algorithm of the checksum"
    )
    get_mime: bool = Field(default=True, alias="mime", description="return type and encoding of a file")
    get_attributes: bool = Field(default=True, alias="attributes", description="return the attributes of a file")
    get_selinux_context: bool = Field(default=False, description="accepted for compatibility")
    get_size: bool = Field(default=True, description="accepted for compatibility")

    def run(self, task: ModuleTask) -> ActionResult:
        """Read the path."""
        path = expand_path(task, self.path)
        status = task.reader().files.status(
            path, follow=self.follow, algorithm=self.checksum_algorithm if self.get_checksum else None,
            details=self.get_mime or self.get_attributes,
        )  # fmt: skip
        if status is None or (self.follow and status.kind == "link"):  # a link without a target
            return done_result(changed=False, stat={"exists": False})
        found: dict[str, Any] = dict(status.details)
        for wanted, names in (
            (self.get_mime, ("mimetype", "charset")),
            (self.get_attributes, ("attributes", "attr_flags", "version")),
        ):
            for name in () if wanted else names:
                found.pop(name, None)
        return done_result(changed=False, stat=found)


class WinStat(Stat):
    """Read what is at a path of a Windows host."""


class Slurp(Module):
    """Read a file, as base64."""

    src: str = Field(..., alias="path", description="the file")

    def run(self, task: ModuleTask) -> ActionResult:
        """Read the file."""
        path = expand_path(task, self.src)
        reply = task.read(ReadFile(path, limit=LARGEST))[0]
        if isinstance(reply, FileContent) and not reply.missing:
            if reply.truncated:
                return failed_result(f"{path} is larger than {LARGEST // 1_000_000} MB")
            return done_result(changed=False, content=base64.b64encode(reply.content).decode(), source=path, encoding="base64")
        if isinstance(reply, Failed) and reply.kind != "not-found":
            if "not a regular file" in reply.message:
                return failed_result(f"Source is a directory and must be a file: {path}")
            return failed_result(f"unable to slurp file: {reply.message}")
        return failed_result(f"File not found: {path}")
