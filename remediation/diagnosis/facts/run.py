"""Facts about discovery, placement, requests and the end of a load.

Buffers outrank the ``offloaded`` line, which outranks the plan (facts/ollama 2.3, 5.2; recordings, surprises 2, 3 and 15).
"""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.guest import derive_ended
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.present import is_live
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.readers.texts.ps import PsRow
from remediation.diagnosis.runners import dead_runner, listed_at
from remediation.diagnosis.units import GIB, human, parse_size
from remediation.diagnosis.versions import Generation
from remediation.model.facts.server import restart_advice as restart
from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole
from remediation.model.text.timestamps import parse_timestamp
from remediation.model.text.words import plural, verb

_INTEGRATED = re.compile(r"intel|\b(?:uhd|iris|xe) graphics|radeon\(tm\) graphics|radeon graphics|\b[678]\d0m\b", re.IGNORECASE)
_SMALL = 16
"""Models have more layers than this, so such a request does not mean all layers."""
_BESIDE = _HALF = 0.5
_BRISK, _SLOW = 15.0, 5.0  # tokens per second; a CPU alone rarely reaches the first rate with a 7B model
SLOW_SECONDS, _LOAD_SHARE = 60.0, 0.5
_IDLE, _LONG_LOAD = 240.0, 10.0  # the server unloads a model after five minutes
_ANSWERED = re.compile(r"\[GIN\] (\d{4}/\d\d/\d\d) - (\d\d:\d\d:\d\d) \|\s{0,20}\d{3} \|\s{0,20}([\d.hmsµnu]{2,24})")
_PARTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(h|ms|µs|us|ns|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
_PACE = re.compile(r"(?<![\d.,-])(\d{1,3}(?:\.\d{1,2})?) ?(?:tokens?|tok|t) ?(?:/|per) ?(?:s\b|sec)", re.IGNORECASE)
_KEPT = re.compile(r"(?<![A-Za-z_])keep_?alive[\"']?\s{0,4}[=:]\s{0,4}[\"']?(0s?|[1-9]s|[1-5]\ds)(?![\w.])", re.IGNORECASE)
_SOON = re.compile(r"(?:\d|\d{1,5}ms|[0-9]s|10s?)$")
_FOREVER = re.compile(r"keep_?alive[\"']?\s{0,4}(?:[=:]|is|to)?\s{0,4}[\"']?-1|\bforever\s*$", re.IGNORECASE | re.MULTILINE)
_IN_WORDS = re.compile(
    r"(?:(?:only|just|first|offload\w*)\W{1,3})?\b(\d{1,3}) ?(?:of|/|out of) ?(?:the |all )?(\d{1,3}) (?:repeating )?layers?\b",
    re.IGNORECASE,
)
"""A number of layers in a sentence."""
_CPU_GRAPH = re.compile(r'msg="compute graph"[^\n]{0,80}(?:backend|device)=CPU[^\n]{0,60}size="([\d.]{1,8} [KMG]iB)"')


def derive_run(sheet: FactSheet) -> None:
    """Record discovery, placement, requests, ends and times."""
    _discovery(sheet)
    _placement(sheet)
    _requests(sheet)
    _ends(sheet)
    _times(sheet)
    _happened(sheet)


def worst_row(reading: Reading) -> PsRow | None:
    """Return the listed model with the smallest share on the GPU; the last row counts for each model."""
    rows = [row for row in reading.placed if row.gpu is not None]
    return min(rows, key=lambda row: row.gpu if row.gpu is not None else 1.0) if rows else None


def died_without_layers(reading: Reading) -> bool:
    """Whether a load failed for which the server had planned no layer on the card (facts/ollama 5.2)."""
    load = reading.shown
    if load is None or load.seconds is not None or load.requested not in {None, -1} or load.result is None or load.result[0]:
        return False
    return reading.hit("runner_terminated") is not None


def how_to_restart(reading: Reading) -> str:
    """Return the command that restarts the server on its platform."""
    name = str((reading.evidence.container or {}).get("Name") or "").lstrip("/")
    windows, serving = reading.evidence.platform == "windows", reading.evidence.serving
    if serving is not None and not reading.in_container and (how := serving.how_to_restart):
        return f"restart the server: {how}"
    return restart(name or ("ollama" if reading.in_container else ""), windows=windows, unit=reading.evidence.unit)


def _discovery(sheet: FactSheet) -> None:
    reading, load = sheet.reading, sheet.load
    no_gpu = reading.hit("no_gpu", "ggml_no_device")
    if reading.gpu_devices:
        one = reading.gpu_devices[0]
        sheet.record("card.kept", True, f"discovery lists {one.name or one.library}", one.at)
        if reading.gpu.nvidia and all(each.library == "vulkan" and _INTEGRATED.search(each.name) for each in reading.gpu_devices):
            text = f"discovery lists {one.name} alone, and the machine has an NVIDIA card"
            sheet.record("card.kept_other", True, text, one.at)
    elif reading.cpu_device is not None or no_gpu is not None:
        at = no_gpu.at if no_gpu else reading.cpu_device.at if reading.cpu_device else None
        sheet.record("card.kept", False, "the server found no GPU", at, of=no_gpu)
        sheet.record("discovery.empty", True, "the server found no GPU", at, of=no_gpu)
    live = (
        bool(reading.gpu_devices) or reading.hit("cuda_found", "cuda_backend") is not None
        or (
            load is not None
            and (load.model_gpu > 0 or bool(load.offloaded and load.offloaded[0]) or load.library not in {"", "cpu"})
        )
        or any(row.gpu for row in reading.ps)
    )
    absent = sheet.holds("discovery.empty") and (load is None or load.library in {"", "cpu"})
    found = reading.hit("device_context") is not None  # the driver lists the card, and gives no context on it
    sheet.record("card.none_there", (absent and not live and not found) or None)
    sheet.record("backend.live", False if absent and not live else True if live else None)


def _phantom(load: Load | None) -> bool:
    """Whether the log claims layers on a missing GPU (recordings, surprise 3): all buffers are in system memory."""
    if load is None or load.offloaded is None or not load.offloaded[0]:
        return False
    return load.model_cpu > 0 and load.model_gpu == 0 and load.kv_gpu == 0 and load.kv_cpu > 0


def _by_buffers(load: Load | None) -> float | None:
    """Return the share of the weights on the card by the buffers, where more than the embedding is in system memory.

    A memory-mapped file counts as a whole, so its buffers do not show the share.
    """
    if load is None or load.mapped or not load.model_gpu or load.model_cpu < load.model_gpu * _BESIDE:
        return None
    return load.model_gpu / (load.model_gpu + load.model_cpu)


def _unallocated(sheet: FactSheet) -> Quote | None:
    """Return the evidence that a plan for the card failed: buffers in system memory only, or a missing backend."""
    reading, load = sheet.reading, sheet.load
    planned = (load.planned or load.command_layers or 0) if load is not None else 0
    row = worst_row(reading)
    if load is not None and load.offloaded is None and planned:
        if load.model_cpu and not (load.model_gpu or load.kv_gpu or load.graph_gpu or load.compute_gpu):
            return load.planned_at or load.command_at
        # a list of backends printed before the runner starts is not about the load
        keys = ("none_compatible", "cpu_runner", *(["system_cpu_only"] if load.started_at is not None else []))
        if (hit := reading.hit(*keys)) is not None and not load.model_gpu:
            return hit.at
    if row is not None and row.gpu and reading.offloaded is None:
        if load is not None and load.model_cpu and not load.model_gpu:
            return row.at
        unloadable = reading.hit("libraries_unloadable")
        return unloadable.at if unloadable is not None and reading.hit("system_cpu_only") else None
    return None


def _placement(sheet: FactSheet) -> None:
    reading, load = sheet.reading, sheet.load
    unallocated, phantom, lying = _unallocated(sheet), _phantom(load), _by_buffers(load)
    row, short, at = worst_row(reading), None, None
    share: float | None = None
    if reading.offloaded is not None and load is not None:
        share, at = reading.offloaded[0] / reading.offloaded[1], load.result_at
        text = f"{reading.offloaded[0]} of {reading.offloaded[1]} layers {verb(reading.offloaded[0])} on the GPU"
        share = 0.0 if phantom else share
    elif row is not None and row.gpu is not None:
        share, at, text = row.gpu, row.at, f"{row.gpu:.0%} of the model is on the GPU"
    elif load is not None and lying is not None:
        share, at, text = lying, load.at, f"{human(load.model_cpu)} of the weights are in system memory, {human(load.model_gpu)} on the card"
        sheet.record("place.mostly_host", lying < _HALF or None, text, at, of=load)
    if unallocated is not None:
        number = (load.planned or load.command_layers or 0) if load else 0
        text = f"{plural(number, 'layer')} {verb(number, 'was', 'were')} planned for the card, and the runner loaded all of it into system memory" if number else "a list names the card, and the runner loaded all of it into system memory"
        sheet.record("place.unallocated", True, text, unallocated, of=load)
        share, at = 0.0, unallocated
    sheet.record("place.phantom", phantom or None, "layers on a GPU are claimed, and no buffer lies on a device", at)
    if (reported := _reported_share(sheet, share)) is not None:
        share, at, text = reported
        sheet.record("place.reported", True, text, at)
    if share is None and sheet.holds("discovery.empty"):
        share, at, text = 0.0, sheet.known["discovery.empty"].quotes[0], "the server found no GPU"
    if share == 1 and load is not None and load.started_at is None and reading.hit("gpu_oom", "runner_terminated") is not None:
        sheet.record("place.planned", True, "only the plan is known: the load died", at)
        return
    if share is None:
        return
    short = share < 1
    sheet.record("place.reported", False)
    if not short and reading.evidence.runners == ():
        text = "the last load put all layers on the GPU; no model is loaded now"
        sheet.record("place.past", True, text, at)
    sheet.record("place.whole", not short, text, at, of=load)
    sheet.record("place.short", short, text, at, of=load)
    sheet.record("place.none", share == 0, text, at, of=load)
    sheet.record("place.part", 0 < share < 1, text, at, of=load)
    planned = load is not None and load.offloaded is None and not load.model_gpu and load.started_at is None
    sheet.record("place.planned", (planned and reading.offloaded is not None) or None, "only the plan is known")
    sheet.record("place.listed_only", reading.offloaded is None or None, "a list says where the model is", row.at if row else None)
    _beside_placement(sheet)


def _reported_share(sheet: FactSheet, share: float | None) -> tuple[float, Quote, str] | None:
    """Return the share that people tell, with its quote and words, where nothing but words says it."""
    if sheet.holds("discovery.empty") or share is not None:
        return None
    stated = ("reported.split",) if sheet.holds("reported.one_card") else ("reported.split", "reported.on_cpu")
    reported = next((sheet.known[name] for name in stated if name in sheet.known), None)
    counted = _IN_WORDS.search(sheet.reading.raw)
    if counted is not None and 0 < int(counted[2]) >= int(counted[1]) and (reported is None or reported.name == "reported.split"):
        return int(counted[1]) / int(counted[2]), Quote("text", counted[0]), f"{counted[0]} are on the GPU according to the report"
    if reported is not None:
        return (0.5 if reported.name == "reported.split" else 0.0), reported.quotes[0], reported.text
    elsewhere = ("reported.fits_elsewhere", "reported.more_before", "reported.forced_fits")
    if sheet.holds("reported.all_on_gpu") and not sheet.holds(*elsewhere):
        fact = sheet.known["reported.all_on_gpu"]
        sheet.record("place.reported_whole", True, fact.text, fact.quotes[0])
        return 1.0, fact.quotes[0], fact.text
    return None


def _beside_placement(sheet: FactSheet) -> None:
    """Record what a placement hides: a graph in system memory, a list that shows less."""
    reading, load, row = sheet.reading, sheet.load, worst_row(sheet.reading)
    if (
        row is not None
        and load is not None
        and load.result
        and row.gpu is not None
        and row.gpu < 0.7 < load.result[0] / load.result[1]
    ):
        text = f"{load.result[0]} of {load.result[1]} layers are on the GPU, and yet only {row.gpu:.0%} of the bytes"
        sheet.record("place.bytes_lag", True, text, load.result_at, row.at)
    computes = [match for match in _CPU_GRAPH.finditer(reading.log_text) if (parse_size(match[1]) or 0) > 4 * GIB]
    sheet.record(
        "place.compute_on_cpu",
        bool(computes) or None,
        f"a compute graph of {computes[0][1]} is in system memory" if computes else "",
    )
    listed = [one for one in reading.ps if one.gpu is not None and one.gpu < 1]
    sheet.record(
        "place.list_contradicts",
        (bool(listed) and sheet.holds("place.whole")) or None,
        "a list shows less on the GPU",
        *(one.at for one in listed[:1]),
    )


def _requests(sheet: FactSheet) -> None:
    reading, load = sheet.reading, sheet.load
    _hanging(sheet)
    if load is not None and load.requested is not None:
        _requested_layers(sheet, load, load.requested)
    requested = [one for one in reading.requested_options if one.what == "num_gpu" and one.value is not None and one.value >= 0]
    layers = (load.layers if load else None) or (reading.offloaded[1] if reading.offloaded else None)
    for option in requested:
        value = option.value or 0
        if value < (layers or _SMALL):
            met = reading.offloaded is None or value >= reading.offloaded[0]
            ignored = load is not None and (load.requested == -1 or (load.requested is not None and load.requested != value))
            if met and not ignored:
                sheet.record("ask.small", True, f"num_gpu {value} is requested: it counts layers, not GPUs", option.at)
                sheet.record("ask.several", (value > 1) or None, f"num_gpu {value} is requested", option.at)
        else:
            sheet.record("ask.large", True, f"num_gpu {value} forces layers, even if they do not fit", option.at)
    setting = reading.setting("LLAMA_ARG_N_GPU_LAYERS")
    if setting is not None and is_whole(setting.value.removeprefix("-")) and sheet.holds("place.short"):
        sheet.record(
            "request.inherited",
            True,
            f"llama-server reads LLAMA_ARG_N_GPU_LAYERS={setting.value} from the environment",
            setting.at,
        )
    elif load is not None and load.generation is Generation.V0_30 and load.requested == -1 and load.short and load.short_by is None:
        if load.command_at is not None and load.projected is None:
            text = "the command names no -ngl and no fit took place, so llama-server took the number of layers from its environment (LLAMA_ARG_N_GPU_LAYERS)"
            sheet.record("request.inherited", True, text, load.command_at, load.result_at)
        elif load.projected is not None:
            sheet.record(
                "request.unexplained",
                True,
                "fit needed no change, yet few layers were loaded: their number came from the environment",
                load.result_at,
            )
    if reading.offloaded is not None and load is not None and load.requested is None and load.planned is None:
        sheet.record(
            "result.one_layer",
            (reading.offloaded[0] == 1 < reading.offloaded[1]) or None,
            "one layer, which seldom is what just fits",
            load.result_at,
        )


def _requested_layers(sheet: FactSheet, load: Load, number: int) -> None:
    layers = load.layers or (load.result[1] if load.result else None)
    if number == -1:
        sheet.record("request.default", True, "requested=-1: the server decided", load.requested_at, of=load)
        sheet.record("request.few", False, "requested=-1: the server decided", load.requested_at)
        return
    if load.requested_at is None or number < 0:
        return
    sheet.record("request.default", False)
    result = load.result
    engine = load.engine_new or load.generation in {Generation.V0_12_11, Generation.V0_12_11_NEW_ENGINE, Generation.V0_30}
    met = result is None or result[0] == number or (result[0] < number and number <= 1 and engine) or (number == 0 and result[0] == 0)
    few = number <= 1 if layers is None else number < layers
    of = load.layers or (result[1] if result else "?")
    sheet.record(
        "request.few",
        few and met,
        f"num_gpu {number} was requested for a model of {of} layers",
        load.requested_at,
        load.result_at,
        of=load,
    )
    if few and not met and result is not None:
        sheet.record(
            "request.unmet",
            True,
            f"num_gpu {number} was requested and {result[0]} layers were placed: memory, not the request, bounds them",
            load.requested_at,
        )
    over = load.planned is not None and number > load.planned
    failed = sheet.reading.hit("gpu_oom", "layout_failed", "layers_set_by_user")
    if number > 0 and not (few and met and not over) and failed is not None and (over or not load.short):
        sheet.record(
            "request.forces",
            True,
            f"num_gpu {number} forces more layers than the card holds",
            load.requested_at,
            failed.at,
            of=load,
        )
    if load.planned is not None and layers is not None and number > load.planned < layers:
        text = f"num_gpu {number} is requested; by the server's own figures {plural(load.planned, 'layer')} of {layers} fit"
        sheet.record("request.over", True, text, load.requested_at, of=load)
    if layers is not None and number >= layers:
        sheet.record("request.all", True, f"all {layers} layers were requested", load.requested_at, of=load)


def _hanging(sheet: FactSheet) -> None:
    """Record a forced load that never ended (recordings, surprise 1)."""
    reading, load = sheet.reading, sheet.load
    log = next((one for one in reading.logs if load in one.loads), None)
    if load is None or log is None:
        return
    seconds = load.hangs_for(reading.evidence.collected_at if is_live(reading.evidence) else parse_timestamp(log.time))
    if seconds is not None:
        text = f"the server hangs: num_gpu {load.requested} forced a load that has not ended after {seconds:.0f} s, and every later load waits for it"
        sheet.record("request.hangs", True, text, load.requested_at, of=load)


def _ends(sheet: FactSheet) -> None:
    reading = sheet.reading
    evidence = reading.evidence
    if evidence.silent:
        sheet.record("server.silent", True, evidence.silent, Quote("GET /api/version", evidence.silent))
        sheet.record("server.behind_proxy", "proxy" in evidence.silent)
    derive_ended(sheet)
    dead, died, last = dead_runner(evidence), reading.hit("runner_died"), reading.last_request
    failed = last.at if last is not None and last.failed else None
    if dead is not None:
        text = f"the runner of {dead.model} has died: /api/ps lists it, and no process of a runner is left"
        sheet.record("runner.dead", True, text, listed_at(dead), failed)
        sheet.record("runner.dead_seen", died is not None or failed is not None or bool(evidence.probe))
    if died is not None:
        sheet.record("runner.died", True, "the runner ended while it answered a request", died.at, failed, of=died)
    if dead is not None or died is not None:
        sheet.record(
            "runner.gone", True, "the runner died while it answered, as it does when memory runs out", died.at if died else failed
        )
    if evidence.probe or failed is not None:
        text = (
            f"a request to the loaded model was not answered: {evidence.probe}"
            if evidence.probe
            else f"the last request was answered with {last.status if last else 500}"
        )
        sheet.record("request.fails", True, text, failed)
    if died_without_layers(reading):
        sheet.record("load.died_without_layers", True, "the load died although no layer was to be on the card")
    terminated = reading.hit(
        "runner_terminated",
        "gpu_oom",
        "ram_refused",
        "killed",
        "ram_allocation",
        "load_timeout",
        "unloadable",
        "truncated",
        "bad_magic",
    )
    starved = reading.hit("killed", "ram_refused", "ram_allocation", "signalled", "exit_137")
    sheet.record(
        "ram.ended", (starved is not None) or None, "system memory ended the load", starved.at if starved else None, of=starved
    )
    sheet.record(
        "load.died", (terminated is not None) or None, "the load failed", terminated.at if terminated else None, of=terminated
    )


def _times(sheet: FactSheet) -> None:
    reading = sheet.reading
    loads = (reading.shown,) if is_live(reading.evidence) else reading.loads
    slow = next((load for load in loads if load is not None and load.seconds and load.seconds >= SLOW_SECONDS), None)
    if slow is not None:
        sheet.record("load.slow", True, f"loading took {slow.seconds:.0f} s", slow.started_at or slow.result_at or slow.at, of=slow)
    paces = [hit for hit in reading.hits if hit.key == "load_progress"]
    stamps = [
        (parse_timestamp(hit.at.text[5:].partition(" ")[0]), float(hit.groups[0]))
        for hit in paces
        if hit.at.text.startswith("time=")
    ]
    known = [(when, part) for when, part in stamps if when is not None]
    if len(known) > 1 and known[-1][1] > known[0][1]:
        whole = (known[-1][0] - known[0][0]) / (known[-1][1] - known[0][1])
        sheet.record(
            "load.slow",
            whole >= 2 * SLOW_SECONDS or None,
            f"by its own progress the load takes {whole / 60:.0f} minutes",
            paces[0].at,
            of=paces[0],
        )
    pace = _PACE.search(reading.prose)
    reported = next((one for one in reading.speeds if one.total or one.rate or one.load), None)
    for one in reading.speeds:
        if one.load and one.load >= 10 and (not one.total or one.load >= one.total * _LOAD_SHARE):
            sheet.record("load.dominates", True, f"of the whole time {one.load:.0f} s are loading", one.at)
        if one.load and one.total and one.load < one.total * _LOAD_SHARE:
            sheet.record("load.small_part", True, f"loading is {one.load:.0f} of {one.total:.0f} s", one.at)
    if reported is not None and reported.rate is not None:
        sheet.record("speed.brisk", reported.rate >= _BRISK, f"the server writes {reported.rate:.0f} tokens/s", reported.at)
        sheet.record("speed.slow", reported.rate < _SLOW, f"it writes only {reported.rate:.1f} tokens/s", reported.at)
    elif pace is not None:
        sheet.record("speed.slow", float(pace[1]) < _SLOW or None, f"it writes {pace[1]} tokens/s", Quote("text", pace[0]))
    _after_pauses(sheet)
    _reloads(sheet)


def _after_pauses(sheet: FactSheet) -> None:
    """Record that only requests after a pause are slow in the access log: the model was unloaded in between."""
    slow: list[tuple[float, float | None, Quote]] = []
    fast: list[tuple[float, float | None, Quote]] = []
    last: float | None = None
    for one in (request for log in sheet.reading.logs for request in log.requests):
        match = _ANSWERED.search(one.at.text)
        ended = parse_timestamp(match[1].replace("/", "-") + "T" + match[2]) if match else None
        if match is None or ended is None:
            continue
        took = sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(match[3]))
        idle = None if last is None else ended - took - last
        (fast if idle is not None and idle < _IDLE else slow).append((took, idle, one.at))
        last = ended
    known = [one for one in slow if one[1] is not None]
    if known and len(fast) > 1 and min(one[0] for one in slow) >= max(_LONG_LOAD, 3 * max(one[0] for one in fast)):
        text = f"after a pause an answer takes {known[0][0]:.0f} s, the next ones {max(one[0] for one in fast):.0f} s at most"
        sheet.record("load.after_pause", True, text, known[0][2], fast[-1][2])


def _reloads(sheet: FactSheet) -> None:
    """Record why a model is reloaded repeatedly."""
    reading = sheet.reading
    computed = next(
        (
            option
            for option in reading.requested_options
            if option.what == "num_ctx" and option.value is None and any(sign in option.expression for sign in "*+")
        ),
        None,
    )
    if computed is not None:
        sheet.record(
            "ask.computed_context",
            True,
            "the context is computed again for each request, and each change reloads the model",
            computed.at,
        )
    for one in reading.bodies:
        other = next((body for body in reading.bodies if body.model == one.model and body.options != one.options), None)
        if other is not None:
            sheet.record("ask.options_differ", True, f"requests for {one.model} differ in options of the load", one.at, other.at)
    contexts = {load.context for load in reading.loads if load.context and load.started_at is not None}
    files = {load.model for load in reading.loads if load.model}
    if len(contexts) > 1 and len(files) <= 1 and len(reading.loads) > 2 and not sheet.holds("place.short"):
        sheet.record(
            "load.options_differ", True, f"one model was loaded with {plural(len(contexts), 'context')} in turn", reading.loads[-1].at
        )
    keep = reading.setting("OLLAMA_KEEP_ALIVE")
    if keep is not None and _SOON.match(keep.value):
        sheet.record("keep_alive.zero", True, f"OLLAMA_KEEP_ALIVE={keep.value} unloads the model after each answer", keep.at)
    forever = _FOREVER.search(reading.raw)
    if forever is not None:
        sheet.record("keep_alive.forever", True, "the model is to stay loaded", Quote("text", forever[0].strip()))
    keep_alive = _KEPT.search(reading.raw)
    if keep_alive is not None:
        text = f"{keep_alive[0].strip()} in the request unloads the model {'after each answer' if keep_alive[1] in {'0', '0s'} else 'soon'}"
        sheet.record("keep_alive.zero", True, text, Quote("request", keep_alive[0].strip()))


def _happened(sheet: FactSheet) -> None:
    """Record the end of the load: the first true statement."""
    live, whole = sheet.holds("backend.live"), sheet.holds("place.whole")
    for name, true in (
        ("happened.load_died", sheet.holds("load.died")),
        ("happened.died_generating", sheet.holds("runner.gone")),
        ("happened.no_device", sheet.holds("discovery.empty") and not live),
        ("happened.none_placed", sheet.holds("place.none") and live),
        ("happened.part", sheet.holds("place.part")),
        ("happened.slow_load", whole and sheet.holds("load.slow", "load.dominates")),
        ("happened.slow_on_gpu", whole and sheet.holds("speed.slow", "reported.slow", "reported.cpu_works")),
        ("happened.nothing_wrong", whole and not sheet.holds("request.fails", "reported.crash", "place.planned")),
    ):
        if true:
            sheet.record(name)
            return
