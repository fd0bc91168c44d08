"""The action that waits for a port or a file."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from remediation.modules.contract import Action, Duration, UnfitError


class WaitFor(Action):
    """Wait for a port, a file, or text in a file."""

    refused: ClassVar[tuple[str, ...]] = ("active_connection_states", "exclude_hosts")

    host: str = Field("127.0.0.1", description="host to connect to, as seen from the target")
    port: int | None = Field(None, description="the port", ge=0, le=65535)
    path: str | None = Field(None, description="the file")
    search_regex: str | None = Field(
        None, description="regular expression that the content of the file, or what the port sends, must match"
    )
    state: Literal["absent", "drained", "present", "started", "stopped"] = Field("started", description="what to wait for")
    timeout: Duration = Field(300, description="seconds after which the task fails")
    connect_timeout: Duration = Field(5, description="timeout of one connection attempt in seconds")
    delay: Duration = Field(0, description="seconds before the first check")
    sleep: Duration = Field(1, description="seconds between checks")
    msg: str | None = Field(None, description="message on failure")

    @model_validator(mode="after")
    def _check_subject(self) -> WaitFor:
        if self.port is not None and self.path is not None:
            raise UnfitError("port and path are mutually exclusive", "port and path parameter can not both be passed to wait_for")
        if self.path is not None and self.state == "drained":
            raise UnfitError(
                "state: drained needs a port", "state=drained should only be used for checking a port in the wait_for module"
            )
        return self
