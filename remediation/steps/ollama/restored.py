"""Restores a setting of a native server on Windows that a run changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import model_validator

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, needs
from remediation.model.errors import CallFailed
from remediation.model.facts import Serving
from remediation.steps.contract import Step, param, step
from remediation.steps.model.load_state import log_of
from remediation.steps.ollama.reconfigured import printed_differences
from remediation.steps.ollama.settings import APP, registry_value


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """The current values of what is restored, by name; None means not set. ``due`` is whether the server runs with the change."""

    serving: Serving
    now: Mapping[str, str | None]
    due: bool = False


@step("ollama.setting_restored", risk=Risk.DISRUPTIVE, settle=90.0, deadline=300.0)
class OllamaSettingRestored(Step[StoredSettings]):
    """A setting that ollama.environment changed on Windows has its earlier value again. This is its undo.

    The server is restarted if it runs with the change. A value that was changed again since is left alone.
    """

    key: str = param("registry key of the variable, or app for the settings of the Ollama app", example="app")
    setting: str | None = param("name of the variable", default=None, example="OLLAMA_CONTEXT_LENGTH")
    value: str | None = param("its earlier value; omit it if it was not set", default=None)
    kind: str = param("type of the registry value", default="String", example="ExpandString")
    expect: str | None = param("its value after the change", default=None)
    columns: dict[str, str] = param("earlier settings of the app by column", default={}, example={"context_length": "0"})
    expect_columns: dict[str, str] = param("settings of the app after the change", default={})

    @model_validator(mode="after")
    def _complete(self) -> OllamaSettingRestored:
        if (self.key == APP) != bool(self.columns) or (self.key == APP) == (self.setting is not None):
            msg = "key: app requires columns, and any other key requires setting"
            raise ValueError(msg)
        return self

    @property
    def _before(self) -> Mapping[str, str | None]:
        return self.columns if self.setting is None else {self.setting: self.value}

    @property
    def _after(self) -> Mapping[str, str | None]:
        return self.expect_columns if self.setting is None else {self.setting: self.expect}

    def observe(self, host: Reader) -> StoredSettings:
        serving = host.services.serving()
        if serving.windows is None:
            raise CallFailed(
                f"the settings of {serving.words} cannot be read, so none is restored", host=host.name,
                next_step="start the Ollama app, and log in with an elevated account (docs/windows.md)",
            )  # fmt: skip
        if self.setting is None:
            return StoredSettings(serving, {column: serving.windows.row.get(column) for column in self.columns})
        now = next((one.value for one in serving.settings if one.name == self.setting and one.file == self.key), None)
        due = self.setting in printed_differences(log_of(host).environment, serving.declared)
        return StoredSettings(serving, {self.setting: now}, due)

    def is_met(self, state: StoredSettings) -> bool:
        return self._same(state) and not state.due

    def plan(self, state: StoredSettings) -> Iterator[Change]:
        if self._foreign(state):
            return
        if not self._same(state):
            if self.setting is None:
                yield Change(
                    f"restore {_words(self.columns)} in the settings of the Ollama app, and restart it",
                    subject=APP, before=dict(state.now), after=dict(self.columns), needs=needs(Need.DESKTOP),
                    data={"columns": dict(self.columns)},
                )  # fmt: skip
                return
            what = (
                f"restore {self.setting}={self.value}" if self.value is not None else f"remove {self.setting}, which the run set"
            )
            yield Change(
                what, subject=f"{self.key}\\{self.setting}", before=state.now[self.setting], after=self.value, risk=Risk.SAFE,
                needs=needs(Need.ELEVATED), data={"values": [registry_value(self.key, self.setting, self.value, self.kind)]},
            )  # fmt: skip
        if not self._same(state) or state.due:
            yield Change(
                f"restart {state.serving.words}: loaded models are lost until the next request", subject=state.serving.words,
                data={"restart": True},
            )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        host.target()  # where to wait for the server, read while it still answers
        host.services.change_windows(
            values=change.data.get("values") or (), columns=change.data.get("columns"), restart=bool(change.data.get("restart"))
        )
        if "values" not in change.data:
            host.ollama.wait()

    def describe(self, state: StoredSettings) -> str:
        now = _words(state.now)
        if self._foreign(state):
            return f"{now}: it was changed again since, and is left alone"
        return f"{now}{'; the server runs with the change' if state.due else ''}"

    def values(self, state: StoredSettings) -> dict[str, Any]:
        return {"now": dict(state.now)}

    def _same(self, state: StoredSettings) -> bool:
        return all(state.now[name] == value for name, value in self._before.items())

    def _foreign(self, state: StoredSettings) -> bool:
        return not self._same(state) and any(state.now[name] != value for name, value in self._after.items())


def _words(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name}={value}" if value is not None else f"{name} is not set" for name, value in values.items())
