"""Somebody asked for few layers (facts/ollama 1.4, 5.1)."""

from __future__ import annotations

from remediation.diagnosis.causes.base import FIGURES, HINT, LIKELY, PROVEN, Placement, Verdict, found, how_to_restart, placement
from remediation.diagnosis.causes.spill import spilled
from remediation.diagnosis.logs import Load
from remediation.diagnosis.present import is_live
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.versions import Generation
from remediation.model.finding import Cause, Finding, RuledOut
from remediation.model.text.digits import is_whole
from remediation.model.text.timestamps import parse_timestamp

_CURE = "find who sends num_gpu (client, Modelfile: ollama show --parameters MODEL), remove it, unload the model, then load it with num_gpu -1"


def find(reading: Reading) -> Verdict:  # noqa: C901 - one return per kind of proof
    """Look at the request in the load lines, then at what clients and Modelfiles ask."""
    load = reading.shown
    hung = _without_end(reading)
    if hung is not None:
        return hung
    asked = _asked(load)
    if load is not None and asked is not None:
        if load.requested_at is not None and _kept_small(load, asked):
            return found(
                Cause.EXPLICIT_NUM_GPU,
                PROVEN,
                f"num_gpu {asked} was asked for a model of {load.layers or '?'} layers",
                load.requested_at,
                load.result_at,
                cure=_CURE,
            )
        hit = reading.hit("gpu_oom", "layout_failed", "layers_set_by_user")
        over = load.planned is not None and load.requested is not None and load.requested > load.planned
        if hit is not None and load.requested is not None and load.requested > 0 and (over or not load.short):
            return found(
                Cause.EXPLICIT_NUM_GPU,
                0.86 if over else LIKELY,
                f"num_gpu {asked} forces more layers than the card holds",
                load.requested_at,
                hit.at,
                cure=_CURE,
            )
    spill = spilled(reading)
    if spill is not None and load is not None:
        return found(
            Cause.EXPLICIT_NUM_GPU,
            0.85,
            spill,
            load.requested_at,
            load.free_at,
            cure="remove num_gpu (or send -1): fewer layers in dedicated memory are faster than all of them in shared memory",
        )
    inherited = _inherited(reading)
    if inherited is not None:
        return inherited
    ask = next((one for one in reading.asks if one.what == "num_gpu" and one.value is not None and one.value >= 0), None)
    place = placement(reading)
    if ask is not None and ask.value is not None:
        layers = (load.layers if load else None) or (reading.offloaded[1] if reading.offloaded else None)
        small = ask.value < (layers or 16)
        if small and place is not Placement.WHOLE and not (load is not None and load.requested == -1):
            exact = reading.offloaded is not None and reading.offloaded[0] == ask.value
            sure = PROVEN if exact else (FIGURES if place in {Placement.PART, Placement.NONE} else 0.9)
            return found(
                Cause.EXPLICIT_NUM_GPU,
                sure,
                f"num_gpu {ask.value} is asked: it counts layers, not GPUs",
                ask.at,
                load.result_at if load else None,
                cure=_CURE,
            )
        if not small and reading.hit("gpu_oom", "layout_failed"):
            return found(
                Cause.EXPLICIT_NUM_GPU,
                LIKELY,
                f"num_gpu {ask.value} forces layers onto a card that cannot hold them",
                ask.at,
                cure=_CURE,
            )
        if not small and place is Placement.PART and load is None:
            return found(Cause.EXPLICIT_NUM_GPU, HINT, f"num_gpu {ask.value} is asked", ask.at, cure=_CURE)
    if load is not None and load.requested == -1 and load.requested_at is not None:
        return RuledOut(Cause.EXPLICIT_NUM_GPU, "requested=-1: the server decided")
    return None


def _without_end(reading: Reading) -> Finding | None:
    """Look for a load that was forced and never ended."""
    load = reading.shown
    log = next((one for one in reading.logs if load in one.loads), None)
    if load is None or log is None:
        return None
    seconds = load.hangs_for(reading.evidence.collected_at if is_live(reading.evidence) else parse_timestamp(log.time))
    if seconds is None:
        return None
    text = f"the server hangs: num_gpu {load.requested} forced a load that has not ended after {seconds:.0f} s, and every later load waits for it"
    return found(
        Cause.EXPLICIT_NUM_GPU,
        PROVEN + 0.01,
        text,
        load.requested_at,
        cure=f"{how_to_restart(reading)}; then load the model with num_gpu -1",
    )


def _asked(load: Load | None) -> int | None:
    return load.requested if load is not None and load.requested is not None and load.requested >= 0 else None


def _kept_small(load: Load, asked: int) -> bool:
    """Whether the request, not the memory, is what bounds the layers."""
    layers = load.layers or (load.result[1] if load.result else None)
    if layers is None:
        return asked <= 1
    if asked >= layers:
        return False
    result = load.result
    return result is None or result[0] <= asked


def _inherited(reading: Reading) -> Verdict:
    """LLAMA_ARG_N_GPU_LAYERS in the server's environment: no ``-ngl``, and yet few layers (recordings, surprise 4)."""
    setting = reading.setting("LLAMA_ARG_N_GPU_LAYERS")
    load = reading.shown
    if setting is not None and is_whole(setting.value.removeprefix("-")) and placement(reading) is not Placement.WHOLE:
        return found(
            Cause.EXPLICIT_NUM_GPU,
            FIGURES,
            f"llama-server reads LLAMA_ARG_N_GPU_LAYERS={setting.value} from the environment",
            setting.at,
            cure="remove LLAMA_ARG_N_GPU_LAYERS from the server's environment",
        )
    if load is None or load.generation is not Generation.G3 or load.requested != -1 or not load.short:
        return None
    if load.short_by is None and load.projected is None and load.command_at is not None:
        # fit did not run, although Ollama asked for no number: the child had one of its own
        return found(
            Cause.EXPLICIT_NUM_GPU, 0.85,
            "the command names no -ngl and no fit took place, so llama-server took the number of layers from its environment (LLAMA_ARG_N_GPU_LAYERS)",
            load.command_at, load.result_at, cure="look for LLAMA_ARG_N_GPU_LAYERS in the server's environment",
        )  # fmt: skip
    if load.short_by is None and load.projected is not None:
        return found(
            Cause.EXPLICIT_NUM_GPU,
            LIKELY,
            "fit needed no change, yet few layers were loaded: their number came from the environment",
            load.result_at,
        )
    return None
