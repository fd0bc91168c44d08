"""Facts about the server's own estimate and the compute graph."""

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.units import GIB, human
from remediation.diagnosis.versions import Generation
from remediation.model.text.words import plural


def derive_graph(sheet: FactSheet) -> None:
    """Record the size of the compute graph and the projector."""
    load, figures = sheet.load, sheet.figures
    if load is None:
        return
    per_card = sheet.reading.gpu.memory if not load.free and sheet.reading.gpu.memory else None
    if per_card is None and (figures.total or figures.free) is not None:
        per_card = (figures.total or figures.free or 0) // max(1, figures.cards)
    free = max(load.free, default=None) if load.free else per_card
    graph = min(filter(None, (load.graph_full, load.graph_partial)), default=None) or load.graph or None
    only = load.too_little_at is not None and load.planned is None and max(1, figures.cards) == 1
    if graph is not None and free is not None and only and free / 2 < graph <= free:
        text = f"the compute graph of this context takes {human(graph)} of {human(free)}, and no layer fits next to it"
        sheet.record("room.graph_decides", True, text, load.too_little_at, of=load)
    if graph is not None and free is not None and graph > free:
        at = load.too_little_at or load.planned_at or load.assigned_at or load.at
        text = f"the compute graph of this context alone takes {human(graph)}, more than the card: {sheet.words}"
        sheet.record("room.graph_decides", True, text, at, of=load)
    sheet.record(
        "graph.huge",
        (graph is not None and graph >= 24 * GIB and per_card is None) or None,
        f"a compute graph of {human(graph or 0)} was planned",
        load.at,
        of=load,
    )
    if load.overhead and load.overhead >= 2 * GIB and sheet.reading.setting("OLLAMA_GPU_OVERHEAD") is None and load.too_little_at:
        sheet.record(
            "overhead.of_projector",
            True,
            f"{human(load.overhead)} are reserved in addition to the layers",
            load.too_little_at,
            of=load,
        )
    if load.projector and load.free and load.projector > sum(load.free) // 2:
        text = f"the projector alone takes {human(load.projector)} of {human(sum(load.free))}"
        sheet.record("room.projector_decides", True, text, load.too_little_at or load.planned_at, of=load)
    if load.projector and graph is not None and figures.weights and load.short:
        sheet.record("room.projector", True, f"the projector takes {human(load.projector)}", load.planned_at)


def derive_estimate(sheet: FactSheet) -> None:
    """Record contradictions in the server's estimate."""
    load, figures = sheet.load, sheet.figures
    if load is None or not load.short or load.generation is Generation.V0_30 or load.library == "cpu":
        return
    free, full = figures.free, load.required_full
    # from v0.12.11 the total is that of the layout chosen, and does not include the room that is kept on each card
    kept = figures.reserve if load.generation in {Generation.V0_12_11, Generation.V0_12_11_NEW_ENGINE} else 0
    graph_too_big = (figures.graph or 0) > (free or 0)
    if (
        free is not None
        and full is not None
        and full + kept <= free
        and figures.graph
        and wants_all(load)
        and not graph_too_big
        and len(load.free) <= 1
    ):
        placed = load.result[0] if load.result else 0
        text = f"the server counts {human(full)} for everything, {human(free)} are free, and yet {plural(placed, 'layer')} {'was' if placed == 1 else 'were'} placed"
        sheet.record("estimate.contradicts_itself", True, text, load.planned_at, of=load)
    if full is not None and len(load.free) > 1 and full <= sum(load.free) and wants_all(load):
        text = f"the server counts {human(full)} for everything, and {human(sum(load.free))} are free on all cards"
        sheet.record("estimate.total_fits", True, text, load.planned_at, of=load)
    if load.requested and load.requested == load.layers and full is not None:
        text = f"all {load.layers} layers were requested and would load, the estimate was {load.planned}"
        sheet.record("estimate.overruled", True, text, load.planned_at, of=load)
    if None not in (figures.full, free, figures.weights, figures.kv) and figures.cards <= 1 and load.requested in {None, -1}:
        parts = (figures.weights or 0) + (figures.kv or 0) + (figures.graph or 0) + figures.projector + figures.reserve
        parts += (figures.weights or 0) // max(1, load.layers or 1)  # the spare layer
        if parts <= (free or 0) < (figures.full or 0) and (figures.full or 0) - parts > GIB:
            text = f"the server counts {human(figures.full or 0)} for everything, its own parts sum up to {human(parts)}, {human(free or 0)} are free"
            sheet.record("estimate.inflated", True, text, load.planned_at, of=load)


def wants_all(load: Load) -> bool:
    """Whether the request covers all layers of the model."""
    return load.requested in {None, -1} or (load.layers is not None and (load.requested or 0) >= load.layers)
