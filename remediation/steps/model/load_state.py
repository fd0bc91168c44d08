"""What a model load depends on and finds on a host, and how the current load was decided. Several steps use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from remediation.diagnosis.memory.fit import Fit, fit
from remediation.diagnosis.memory.metadata import ModelMetadata, metadata
from remediation.diagnosis.readers.logs import HANG_SECONDS, Load, LogReading, read_cached
from remediation.diagnosis.readers.present import blob_in
from remediation.diagnosis.units import GIB, MIB
from remediation.diagnosis.versions import Version, at_least, parse_version
from remediation.facets.protocols import Reader
from remediation.model.errors import NO_ANSWER, Blocked, CallFailed, DeadlineExceeded
from remediation.model.facts import GpuUse, ModelShow, Runner
from remediation.steps.model.keep_alive import keep_alive_for, server_keeps
from remediation.steps.model.ollama_settings import hides_the_gpu
from remediation.steps.model.vram_room import most_free, rooms, spilled_bytes
from remediation.steps.resolve import entry_of, runner_of
from remediation.steps.run_info import pending_environment, pending_frees, pending_services


@dataclass(frozen=True, slots=True)
class LoadState:
    """A model on a host: whether it is loaded, with how many layers, and the expected result of a fresh automatic load.

    ``layers`` is (on the GPU, total), None if neither ``/api/ps`` nor the log shows it. ``requested`` is the num_gpu of the load
    (-1: automatic), ``free_then`` the free VRAM at that time. ``room`` is the free VRAM for a fresh load with the model's own
    runner unloaded, on the card with the most; ``room_alone`` is the same if other models are unloaded too. Both are None with several
    cards. ``best`` is an upper bound that also covers those, None if no card answers. ``baked`` is a num_gpu in the model's own
    parameters. ``trouble`` is the server's error for an unreadable model. ``unread`` says why the server log could not be read;
    ``requested`` and ``free_then`` are then None. ``keep_alive`` is the value that preserves the model's remaining time, None if
    the server's default does. ``briefly`` means that the server unloads models at once. ``earlier`` are the options that restore
    the last seen runner, None if the model was not loaded.
    """

    model: str
    runner: Runner | None
    others: tuple[Runner, ...]
    total: int | None
    layers: tuple[int, int] | None
    requested: int | None
    free_then: int | None
    room: int | None
    room_alone: int | None
    metadata: ModelMetadata | None
    setup: Setup
    baked: int | None = None
    stored: bool = True
    best: int | None = None
    spill: int = 0
    hung_since: str = ""
    container: str = ""
    trouble: str = ""
    unread: str = ""
    keep_alive: str | None = None
    briefly: bool = False
    earlier: Mapping[str, int] | None = None

    @property
    def whole(self) -> bool | None:
        """Whether the whole model is in GPU memory. None if it is not loaded or the placement is unknown."""
        if self.runner is None:
            return None
        if self.runner.size_vram < self.runner.size or self.runner.size == 0 or self.spill:
            return False
        return self.layers is None or self.layers[0] == self.layers[1]

    @property
    def fit(self) -> Fit | None:
        """The expected result of a fresh automatic load now. None if no rule applies."""
        return self._fit(self.room)

    @property
    def fit_alone(self) -> Fit | None:
        """The same with other models unloaded."""
        return self._fit(self.room_alone)

    def _fit(self, free: int | None) -> Fit | None:
        return self.setup.fit(self.metadata, free) if self.metadata is not None and free is not None else None

    @property
    def words(self) -> str:
        """The number of layers on the GPU, as text."""
        if self.runner is None:
            return f"{self.model} is not loaded"
        if self.layers is not None:
            text = f"{self.layers[0]}/{self.layers[1]} layers on the GPU"
        elif self.runner.size_vram == 0:
            text = "no layer on the GPU"
        else:
            share = round(100 * self.runner.size_vram / self.runner.size) if self.runner.size else 0
            text = f"{share} % of the bytes on the GPU"
        return f"{text}, {self.spill // MIB} MiB of it in shared system memory" if self.spill else text


def load_state(host: Reader, model: str) -> LoadState:
    """Read how `model` is loaded and what a fresh load would find. Raises `CallFailed` if Ollama does not answer."""
    version = parse_version(host.ollama.version())
    runners = host.ollama.running()
    show, trouble = _show(host, model)
    runner = runner_of(model, runners)
    others = tuple(one for one in runners if one is not runner)
    log, unread = read_server_log(host)
    load = _load_of(show, log.current_loads, last_only=len(runners) <= 1)
    use = _use(host)
    room, room_alone = rooms(use, runner, others, version=version, freed=pending_frees(host), load=load)
    total = _layers_of(show, load)
    entry = entry_of(model, host.ollama.models())
    known = metadata(show, entry) if show is not None else None
    now = log.environment or _container_environment(host)
    environment = pending_environment(host, now)
    setup = setup_of(version, environment, show, use, trained=known.trained_context if known else None)
    if not setup.hidden and log.devices and not any(device.is_gpu for device in log.devices) and not pending_services(host):
        setup = replace(setup, hidden="the server found no GPU when it started: 0 layers")
    return LoadState(
        model=model, runner=runner, others=others, total=total, layers=_layers(runner, load, total),
        requested=load.requested if load and runner else None, free_then=max(load.free) if load and load.free else None,
        room=room, room_alone=room_alone, metadata=known, setup=setup, baked=baked_layers(show), trouble=trouble,
        stored=show is not None or entry is not None, best=most_free(use, runner),
        spill=spilled_bytes(use, runner), hung_since=_hung(host, load, runner), container=_container(host), unread=unread,
        keep_alive=keep_alive_for(host, model, now), briefly=server_keeps(now) == 0, earlier=_earlier(host, model, load, total),
    )  # fmt: skip


def log_of(host: Reader) -> LogReading:
    """Return the server log, or an empty reading if it cannot be read. The API provides most of it too."""
    return read_server_log(host)[0]


def read_server_log(host: Reader) -> tuple[LogReading, str]:
    """Return the server log, and the reason if it cannot be read."""
    try:
        return read_cached(host.ollama.log()), ""
    except (CallFailed, DeadlineExceeded, Blocked) as error:
        return read_cached(""), error.message


def _earlier(host: Reader, model: str, load: Load | None, total: int | None) -> dict[str, int] | None:
    """Return the options that restore the last load. Forcing all layers is excluded, because it can hang the server."""
    runner = host.ollama.last_runner(model)
    if runner is None:
        return None
    options = {"num_ctx": runner.context_length} if runner.context_length else {}
    requested = load.requested if load is not None else None
    return {**options, "num_gpu": requested} if requested is not None and 0 <= requested < (total or 0) else options


def _show(host: Reader, model: str) -> tuple[ModelShow | None, str]:
    try:
        return host.ollama.show(model), ""
    except CallFailed as error:
        if error.status is None:
            raise  # no answer
        return None, error.message  # the server reports a damaged file


def baked_layers(show: ModelShow | None) -> int | None:
    """Return the num_gpu in the model's own parameters, or None if the server decides."""
    text = show.parameters.get("num_gpu") if show is not None else None
    try:
        value = int(float(text)) if text is not None else -1
    except (ValueError, OverflowError):
        return None
    return value if value >= 0 else None


def _use(host: Reader) -> GpuUse | None:
    try:
        return host.gpu.use()
    except NO_ANSWER:
        return None  # without a driver, only the current load is known


def _layers_of(show: ModelShow | None, load: Load | None) -> int | None:
    info = show.info if show is not None else {}
    blocks = info.get(f"{info.get('general.architecture')}.block_count")
    if isinstance(blocks, int):
        return blocks + 1
    return load.layers if load is not None else None


def _layers(runner: Runner | None, load: Load | None, total: int | None) -> tuple[int, int] | None:
    """Count layers from ``/api/ps`` and the log: the API shows none, some or all; only the log has the number."""
    if runner is None:
        return None
    if runner.size_vram == 0:
        return (0, total) if total else None
    counted = load.result if load is not None else None
    if runner.size_vram >= runner.size:
        return (total, total) if total else counted
    return counted if counted is not None and counted[0] < counted[1] else None


def _load_of(show: ModelShow | None, loads: Sequence[Load], *, last_only: bool) -> Load | None:
    """Return the last load of this model: matched by blob if both sides name one, else the last load if only one model is loaded."""
    blob = blob_in(show.modelfile) if show is not None else ""
    for load in reversed(loads):
        named = blob_in(load.model)
        if blob and named:
            if blob == named:
                return load
        elif last_only:
            return load
    return None


def _hung(host: Reader, load: Load | None, runner: Runner | None) -> str:
    """Return the log line after which a forced load stalled, or ""."""
    if load is None or runner is not None or not load.forced or load.requested_at is None:
        return ""
    return load.requested_at.where if load.hangs_for(host.system.facts().now) is not None else ""


def hang_patience(host: Reader) -> float | None:
    """Return the seconds after which a forced load in progress counts as hanging, None if there is none.

    Until it ends, the server answers no other load, and one that hangs never ends.
    """
    loads = log_of(host).current_loads
    pending = loads[-1].pending_for(host.system.facts().now) if loads else None
    return None if pending is None else max(1.0, HANG_SECONDS - pending + 1.0)


def _container(host: Reader) -> str:
    container = host.target().container
    return str(container.value) if container is not None else ""


def server_environment(host: Reader) -> Mapping[str, str]:
    """Return the environment that the server read, from its log or its container. Returns an empty mapping if neither is readable."""
    return log_of(host).environment or _container_environment(host)


def _container_environment(host: Reader) -> Mapping[str, str]:
    name = _container(host)
    if not name:
        return {}
    try:
        found = host.engine.inspect(name)
    except NO_ANSWER:
        return {}
    return found.environment if found is not None else {}


def layer_values(state: LoadState, *, alone: bool) -> dict[str, Any]:
    """Return the values to register for a load, as JSON data."""
    fit = state.fit_alone if alone else state.fit
    runner = state.runner
    return {
        "model": state.model,
        "layers": list(state.layers) if state.layers else None,
        "predicted": [fit.layers, fit.total] if fit is not None else None,
        "need": fit.need_all if fit is not None else None,
        "room": state.room,
        "size": runner.size if runner else None,
        "size_vram": runner.size_vram if runner else None,
        "requested": state.requested,
    }


@dataclass(frozen=True, slots=True)
class Setup:
    """What a load depends on besides memory. ``hidden`` says why the server sees no GPU, or is ""."""

    version: Version | None
    context: int
    parallel: int = 1
    cache_type: str = "f16"
    overhead: int = 0
    margin: int | None = None
    hidden: str = ""

    def fit(self, model: ModelMetadata, free: int) -> Fit | None:
        """Return how many layers fit into `free` bytes."""
        found = fit(
            model, context=self.context, free=free, version=self.version, parallel=self.parallel,
            cache_type=self.cache_type, overhead=self.overhead, margin=self.margin,
        )  # fmt: skip
        return replace(found, layers=0, sentence=self.hidden) if found is not None and self.hidden else found


def setup_of(
    version: Version | None, environment: Mapping[str, str], show: ModelShow | None, use: GpuUse | None, *, trained: int | None
) -> Setup:
    """Return the settings of a load without options: Modelfile parameters override the environment, which overrides defaults."""
    context = _number(show.parameters.get("num_ctx") if show is not None else None)
    if context is None and at_least(version, "0.5.13") is not False:
        context = _number(environment.get("OLLAMA_CONTEXT_LENGTH"))
    cache = environment.get("OLLAMA_KV_CACHE_TYPE", "").strip().lower() or "f16"
    flash = environment.get("OLLAMA_FLASH_ATTENTION", "").strip().lower() not in {"", "0", "f", "false"}
    return Setup(
        version=version,
        context=context or _default_context(version, use, trained),
        parallel=_number(environment.get("OLLAMA_NUM_PARALLEL")) or 1,
        cache_type=cache if flash or at_least(version, "0.30.0") else "f16",
        overhead=_number(environment.get("OLLAMA_GPU_OVERHEAD")) or 0,
        margin=None if (margin := _number(environment.get("LLAMA_ARG_FIT_TARGET"))) is None else margin * MIB,
        hidden=hides_the_gpu(environment, version, len(use.gpus) if use is not None else None),
    )


def _default_context(version: Version | None, use: GpuUse | None, trained: int | None) -> int:
    """Return the default context size: fixed before v0.15.5, by total VRAM since then (Ollama FAQ: context window size)."""
    if not at_least(version, "0.15.5"):
        return 2048 if at_least(version, "0.6.7") is False else 4096
    total = sum(gpu.total or 0 for gpu in use.gpus) if use is not None else 0
    tier = 262144 if total >= 47 * GIB else 32768 if total >= 23 * GIB else 4096
    return min(tier, trained) if trained else tier


def _number(text: str | None) -> int | None:
    try:
        value = int(float((text or "").strip().strip("\"'")))
    except (ValueError, OverflowError):
        return None
    return value if value > 0 else None
