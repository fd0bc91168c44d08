"""Facts about the number of layers that was requested, and what came of it."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.present import is_live
from remediation.diagnosis.versions import Generation
from remediation.model.text.digits import is_whole
from remediation.model.text.timestamps import parse_timestamp
from remediation.model.text.words import plural

_SMALL = 16
"""Models have more layers than this, so such a request does not mean all layers."""


def derive_requests(sheet: FactSheet) -> None:
    """Record the requested number of layers and what came of it."""
    reading, load = sheet.reading, sheet.load
    _record_hanging_load(sheet)
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


def _record_hanging_load(sheet: FactSheet) -> None:
    """Record a forced load that never ended (recordings, surprise 1)."""
    reading, load = sheet.reading, sheet.load
    log = next((one for one in reading.logs if load in one.loads), None)
    if load is None or log is None:
        return
    seconds = load.hangs_for(reading.evidence.collected_at if is_live(reading.evidence) else parse_timestamp(log.time))
    if seconds is not None:
        text = f"the server hangs: num_gpu {load.requested} forced a load that has not ended after {seconds:.0f} s, and every later load waits for it"
        sheet.record("request.hangs", True, text, load.requested_at, of=load)
