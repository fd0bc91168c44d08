"""What a server's log says, typed. Sizes are bytes; what the log does not say is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from remediation.diagnosis.readers.logs.scan import Hit
from remediation.diagnosis.versions import Generation, Version
from remediation.model.finding import Quote
from remediation.model.text.timestamps import parse_timestamp


@dataclass(frozen=True, slots=True)
class ServerStart:
    """One start of the server: the settings as it read them, its version, and the address at which it listens.

    ``server`` counts the server processes of the log from 1.
    """

    at: Quote
    environment: Mapping[str, str] = field(default_factory=dict)
    version: Version | None = None
    address: str = ""
    server: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request for an answer as the server's access log has it; ``load`` is the number of the latest load before it."""

    at: Quote
    status: int
    path: str
    caller: str
    line: int = 0
    server: int = 0
    load: int = 0

    @property
    def answered(self) -> bool:
        """Whether the server answered it."""
        return self.status < _FAULTY

    @property
    def failed(self) -> bool:
        """Whether the server could not answer; below that the request was at fault, or the client went away (499)."""
        return self.status >= _FAILED


_FAULTY, _FAILED = 300, 500
HANG_SECONDS = 120.0
"""Seconds after which a load that says nothing more is taken for a hung one."""


@dataclass(frozen=True, slots=True)
class Device:
    """A compute device that discovery listed; ``library`` in lower case, ``cpu`` for none."""

    at: Quote
    library: str
    name: str = ""
    total: int | None = None
    free: int | None = None
    compute: str = ""
    driver: str = ""

    @property
    def is_gpu(self) -> bool:
        """Whether it is more than the processor."""
        return self.library not in {"cpu", ""}


@dataclass(slots=True)
class Load:
    """One load of a model. Filled while the log is read, not changed afterwards.

    ``requested`` is the requested num_gpu (-1: the server decides), ``planned`` the server's own estimate of
    layers, ``offloaded`` the (n, m) of the last result line. ``free`` may be off by ``free_slack`` because the log rounds it. ``measured`` names the sums that come from allocated buffers. ``context`` is the whole cache, all slots together.
    ``server`` and ``number`` count server processes and loads of the log; ``time`` is the log's own clock where it began. ``started_at``
    is the line that says that the runner answers, ``failed_at`` the one that says that the load failed.
    """

    at: Quote
    generation: Generation | None = None
    engine_new: bool = False
    model: str = ""
    architecture: str = ""
    layers: int | None = None
    requested: int | None = None
    requested_at: Quote | None = None
    planned: int | None = None
    planned_at: Quote | None = None
    assigned: int | None = None
    assigned_at: Quote | None = None
    offloaded: tuple[int, int] | None = None
    offloaded_at: Quote | None = None
    library: str = ""
    free: tuple[int, ...] = ()
    free_at: Quote | None = None
    free_slack: int = 0
    total: int | None = None
    overhead: int | None = None
    required_full: int | None = None
    kv: int | None = None
    weights: int | None = None
    weights_output: int | None = None
    graph_full: int | None = None
    graph_partial: int | None = None
    projector: int | None = None
    parallel: int | None = None
    per_slot: int | None = None
    context: int | None = None
    cache_type: str = ""
    flash: str = ""
    command: str = ""
    command_layers: int | None = None
    command_at: Quote | None = None
    model_gpu: int = 0
    model_cpu: int = 0
    mapped: bool = False
    kv_gpu: int = 0
    kv_cpu: int = 0
    graph_gpu: int = 0
    compute_gpu: int = 0
    measured: set[str] = field(default_factory=set)
    info: dict[str, str | int] = field(default_factory=dict)
    projected: int | None = None
    margin: int | None = None
    short_by: int | None = None
    fit_at: Quote | None = None
    file_size: int | None = None
    too_little_at: Quote | None = None
    seconds: float | None = None
    finished: bool = False
    devices: int = 0
    server: int = 0
    number: int = 0
    time: str = ""
    started_at: Quote | None = None
    failed_at: Quote | None = None

    @property
    def allocated(self) -> int | None:
        """Bytes on the GPU by the buffers that were allocated, None where the log does not list all of them."""
        if not {"model", "compute"} <= self.measured:
            return None
        return self.model_gpu + self.kv_gpu + self.compute_gpu

    @property
    def graph(self) -> int:
        """Bytes of the compute graph as planned, which decides how many layers fit; as allocated where the log has no plan, else 0."""
        return self.graph_full or self.graph_gpu or self.compute_gpu

    @property
    def result(self) -> tuple[int, int] | None:
        """Layers on the GPU and layers of the model, from the strongest line there is."""
        if self.offloaded is not None:
            return self.offloaded
        if self.assigned is not None and self.layers:
            return (min(self.assigned, self.layers), self.layers)
        if self.planned is not None and self.layers:
            # with an explicit request the command line holds the result, unless nothing fits (recordings, surprise 15)
            forced = self.command_layers if self.requested is not None and self.requested > 0 else None
            if forced is not None and (self.planned > 0 or self.library == "cpu"):
                return (min(forced, self.layers), self.layers)
            return (self.planned, self.layers)
        return None

    @property
    def result_at(self) -> Quote | None:
        """The line that `result` comes from."""
        return self.offloaded_at or self.assigned_at or self.planned_at

    @property
    def buffers(self) -> int:
        """Bytes of all weights by the buffers that hold them, 0 where these do not tell.

        A file that is mapped into memory counts there from its first tensor to its last, those on the card among them
        (llama.cpp, load_tensors); together with what the card holds that is more than the file.
        """
        held = self.model_gpu + self.model_cpu
        if self.file_size is not None:
            return min(held, self.file_size)
        return 0 if self.mapped and self.model_gpu and self.short else held

    @property
    def short(self) -> bool:
        """Whether fewer than all layers are on the GPU."""
        result = self.result
        return result is not None and result[0] < result[1]

    @property
    def whole(self) -> bool:
        """Whether all layers are on the GPU."""
        result = self.result
        return result is not None and result[0] == result[1]

    @property
    def forced(self) -> bool:
        """Whether num_gpu requests all layers or more, even if fewer fit."""
        return self.requested is not None and self.layers is not None and self.requested >= self.layers - 1

    def pending_for(self, now: float | None) -> float | None:
        """Return for how many seconds at `now` a forced load has said nothing, None for a load that ended or was not forced."""
        if not self.forced or self.finished or self.result is not None or self.requested_at is None:
            return None
        began = parse_timestamp(self.time)
        return now - began if now is not None and began is not None else None

    def hangs_for(self, now: float | None) -> float | None:
        """Return for how many seconds at `now` a forced load has hung, None where it does not hang.

        A server that hangs so answers no load any more (recordings, surprise 1). A load that has just begun may be in progress.
        """
        pending = self.pending_for(now)
        return pending if pending is not None and pending > HANG_SECONDS else None

    def same_model(self, other: Load) -> bool:
        """Whether both may be loads of one model: by the file where both name it, else by the number of layers."""
        if self.model and other.model:
            return self.model == other.model
        ours, theirs = (one.layers or (one.result[1] if one.result else None) for one in (self, other))
        return ours is None or theirs is None or ours == theirs

    @property
    def slots_context(self) -> int | None:
        """The context of one slot, in tokens."""
        if self.context is None:
            return None
        return self.context // max(1, self.parallel or 1)


@dataclass(frozen=True, slots=True)
class LogReading:
    """All that one text says about Ollama. ``server`` is the number of its last server process, ``time`` the log's last clock."""

    name: str
    kind: str
    starts: tuple[ServerStart, ...] = ()
    devices: tuple[Device, ...] = ()
    loads: tuple[Load, ...] = ()
    hits: tuple[Hit, ...] = ()
    requests: tuple[Request, ...] = ()
    server: int = 0
    time: str = ""
    models_seen: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    free_seen: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    lines: int = 0

    @property
    def current_loads(self) -> tuple[Load, ...]:
        """The loads of the last server process: what an earlier one loaded went with it."""
        return tuple(load for load in self.loads if load.server == self.server)

    @property
    def keeps_card(self) -> bool:
        """Whether the last search for cards kept one."""
        return any(device.is_gpu for device in self.devices)

    @property
    def works(self) -> bool:
        """Whether the last load of the last server process put layers on a card that its search kept."""
        last = next((load for load in reversed(self.current_loads) if load.offloaded is not None), None)
        return (
            self.keeps_card
            and last is not None
            and last.offloaded is not None
            and last.offloaded[0] > 0
            and last.failed_at is None
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of the last start that shows them."""
        return next((start.environment for start in reversed(self.starts) if start.environment), {})

    @property
    def version(self) -> Version | None:
        """The version of the last start that shows it."""
        return next((start.version for start in reversed(self.starts) if start.version), None)
