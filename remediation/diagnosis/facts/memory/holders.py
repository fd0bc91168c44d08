"""What holds the card next to this model: programs, other models of the same server, runners without a server, and what is free again."""

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.run.placement import worst_row
from remediation.diagnosis.memory.prediction import own_memory, predict
from remediation.diagnosis.memory.shortage import Shortage
from remediation.diagnosis.readers.codes import OUT_OF_MEMORY
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.readers.texts.ps import PsRow
from remediation.diagnosis.runners import orphans
from remediation.diagnosis.units import GIB, MIB, human
from remediation.model.facts import Process
from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole

BIG = 512 * MIB
"""A desktop uses less card memory than this."""
_WORTH_A_RELOAD = 2
"""Layers that must be gained: the forecast may be wrong by one."""
_NAMED = 2
"""Programs count as holders of the card from this share of the memory in use."""
_GROWN = re.compile(
    r"(?<![\d.])(\d{1,3}(?:\.\d)?) ?gi?b\)?(?: model| file)?[^\n.\d]{0,20}(?:takes?|uses?|is using|needs?|loads? as|occupies|grows? to|becomes|ends up (?:at|as))(?: up)?(?: about| around| almost| over)? (\d{1,3}(?:\.\d)?) ?gi?b\b",
    re.IGNORECASE,
)
_LARGE_NAMED = re.compile(r"(?<!\S)[\w./-]{2,60}:[\w.-]{0,40}[-_:](?:fp16|bf16|f16|q8_0|q6_k|q5_k\w{0,4})\b", re.IGNORECASE)
_LARGE_QUANTISATION = re.compile(r"(?:fp16|bf16|f16|q8_0|q6_k|q5_k)", re.IGNORECASE)
_SEVERAL = re.compile(
    r"\b(?:two|three|four|five|six|eight|both|dual|several|multiple|[2-8]) ?(?:x |\u00d7 )?(?:\w+ ){0,3}(?:gpus|(?:graphics )?cards)\b|\bsecond (?:gpu|card)\b"
)
"""Several cards in words."""


def _row(process: Process) -> str:
    """Return the row of a runner that no server owns."""
    held = f", holds {human(process.vram)}" if process.vram else ""
    return f"pid {process.pid} {process.name}{held}; its parent {process.parent or 'unknown'} is no running server of Ollama"


def _record_taken_at_start(sheet: FactSheet) -> None:
    """Compare the free memory at discovery with the cards' size: at that time no model of this server was loaded."""
    known = [
        device for device in sheet.reading.gpu_devices if device.total and device.free is not None and device.library != "metal"
    ]
    taken, total = sum((one.total or 0) - (one.free or 0) for one in known), sum(one.total or 0 for one in known)
    if known and taken > max(2 * GIB, total // 5) and not sheet.holds("place.whole", "room.weights_decide"):
        text = f"{human(taken)} of {human(total)} were in use by others when the server started"
        sheet.record("vram.taken_at_start", True, text, known[0].at)


def programs(sheet: FactSheet) -> None:
    """Record what holds the card: programs, runners without a server, memory that is free again."""
    reading, figures, load = sheet.reading, sheet.figures, sheet.load
    at = reading.smi[0].memory_at if reading.smi else None
    lost = orphans(reading.evidence)
    if lost and reading.smi and not sheet.holds("place.whole"):
        names = ", ".join(f"pid {one.pid}{f', {human(one.vram)}' if one.vram else ''}" for one in lost)
        whose = "an orphan runner of an earlier ollama holds" if len(lost) == 1 else "orphan runners of an earlier ollama hold"
        rows = [Quote("processes", _row(one)) for one in lost]
        sheet.record("vram.orphans", True, f"{whose} the card's memory ({names})", *rows, at)
    others = [one for one in reading.processes if one.memory and one.memory >= BIG]
    if others and not sheet.holds("place.whole"):
        text = f"programs hold the card: {', '.join(f'{one.name} {human(one.memory or 0)}' for one in others[:4])}"
        sheet.record("vram.programs", True, text, at)
        held = sum(one.memory or 0 for one in others)
        much = (
            figures.total is not None
            and held > figures.total * 0.3
            and not sheet.holds("room.weights_exceed", "size.exceeds_card")
        )
        sheet.record("vram.programs_much", much or None, text, at)
    _record_taken_at_start(sheet)
    totals = [device.total or 0 for device in reading.gpu_devices]
    listed = max((len(smi.total) for smi in reading.smi), default=0)
    sheet.record(
        "card.several",
        (len(totals) > 1 or listed > 1 or reading.gpu.count > 1 or _SEVERAL.search(reading.prose) is not None) or None,
    )
    sheet.record("card.second_small", (len(totals) > 1 and min(totals) < max(totals) / 2) or None, "a small second card")
    large = next((row.at for row in reading.ps if _LARGE_QUANTISATION.search(row.name)), None)
    if large is None and (match := _LARGE_NAMED.search(reading.raw)) is not None:
        large = Quote("text", match[0])
    text = "the model is of a larger quantisation than the default"
    sheet.record("quantisation.large", (large is not None) or None, text, large)
    # without the load's log, memory that is free now may have been in use then
    load_known = load is not None or reading.evidence.runners is None
    for smi in reading.smi:
        loaded = any((row.size_vram or row.gpu or 0) > 0 for row in reading.ps) or any(
            "ollama" in one.name.lower() for one in smi.processes
        )
        if smi.total and len(smi.total) == len(smi.used):
            used, total = sum(smi.used), sum(smi.total)
            sheet.record(
                "vram.smi_full",
                (used > total * 0.5 and not loaded) or None,
                f"{human(used)} of {human(total)} are in use",
                smi.memory_at,
            )
            spare = total - used
            sheet.record(
                "vram.spare",
                (load_known and spare > 2 * GIB and used > GIB and any("ollama" in one.name.lower() for one in smi.processes))
                or None,
                f"{human(spare)} of the card stay free next to the loaded model",
                smi.memory_at,
            )
    hit = reading.hit("os_overhead")
    amount = hit.groups[0] if hit is not None and hit.groups else ""
    sheet.record(
        "vram.os_overhead",
        (hit is not None and "GiB" in amount and float(amount.split()[0]) >= 1) or None,
        f"Windows keeps {amount} of the card for itself",
        hit.at if hit else None,
    )
    _no_longer(sheet, load, figures)
    _record_expected_shortage(sheet)


def _no_longer(sheet: FactSheet, load: Load | None, figures: Shortage) -> None:
    """Record memory that was in use when the model was loaded and is free now: a loaded runner keeps its layers."""
    use = sheet.reading.evidence.use
    used = None if figures.total is None or figures.free is None else figures.total - figures.free
    if (
        use is None
        or len(use.gpus) != 1
        or load is None
        or not load.short
        or load.requested not in {None, -1}
        or not used
        or used < BIG
    ):
        return
    card, room = use.gpus[0], room_now(sheet.reading)
    if card.total is None or room is None or figures.fits(figures.free) is True:
        return
    text = f"{human(used)} of the card were in use by others when the model was loaded; now {human(room)} are free for it"
    at = load.free_at, sheet.reading.smi[0].memory_at if sheet.reading.smi else None
    if figures.fits(room) is False:
        forecast = predict(sheet.reading, room)
        if forecast is not None and load.result is not None and forecast.least >= load.result[0] + _WORTH_A_RELOAD:
            more = f"{text}: {forecast.least} of {load.result[1]} layers fit, {load.result[0]} are loaded"
            sheet.record("vram.partly_free", True, more, *at, of=load)
    elif figures.fits(room) or card.total - room <= used // 2:
        sheet.record("vram.no_longer", True, text, *at, of=load)


def room_now(reading: Reading) -> int | None:
    """Return the memory that a new load would find on the only card of a live host."""
    use = reading.evidence.use
    card = use.gpus[0] if use is not None and len(use.gpus) == 1 else None
    return min(card.total, card.free + own_memory(reading)) if card is not None and card.total and card.free is not None else None


def record_context_refusal(sheet: FactSheet) -> None:
    """Record that the card had no memory left for a context when the server looked for it, regardless of later loads."""
    reading = sheet.reading
    code = next((one for one in reading.codes if one.code == OUT_OF_MEMORY and one.hit.key != "cuda_text"), None)
    if code is not None and reading.cpu_device is not None and reading.hit("device_context") is not None:
        sheet.record("vram.no_context", True, "no context could be created on the card because memory is short", code.hit.at)


def taken_by_others(sheet: FactSheet, used: int, words: str) -> str:
    """Return that others use the card, with the largest of them, and the figures in words."""
    room, free = room_now(sheet.reading), sheet.figures.free
    text = f"{human(used)} of the card are in use by others; {words}"
    if room is not None and free is not None and room - free >= BIG // 2:
        text = f"{human(used)} of the card were in use by others when the model was loaded ({words}); now {human(room)} are free for it"
    known = [(item.name, item.memory) for item in sheet.reading.processes if item.memory]
    known += [
        (f"{one.name} (pid {one.pid}, a runner without a server)", one.vram)
        for one in orphans(sheet.reading.evidence)
        if one.vram
    ]
    largest = sorted(known, key=lambda item: -item[1])[:4]
    names = ", ".join(f"{name} {human(memory)}" for name, memory in largest)
    if not names or sum(memory for _, memory in known) < used // _NAMED:
        return f"{text} (known of them: {names})" if names else text
    return f"{names} hold the card: {text}"


def _record_expected_shortage(sheet: FactSheet) -> None:
    """Record that others hold the memory that the model needs, on a live host where nothing is loaded."""
    reading = sheet.reading
    use = reading.evidence.use
    if use is None or not use.gpus or reading.evidence.runners or "place.short" in sheet.known:
        return
    forecast, card = predict(reading), max(use.gpus, key=lambda gpu: gpu.free or 0)
    if card.total is None or card.used is None or card.free is None:
        return
    if forecast is None or forecast.most == forecast.fit.total or forecast.fit.need_all > card.total - card.total // 10:
        return
    text = f"the model is not loaded; {human(card.used)} of the card are in use by others, so it {forecast.sentence}"
    sheet.record("vram.foreseen", True, text, reading.smi[0].memory_at if reading.smi else None)


def other_models(sheet: FactSheet) -> None:
    """Record other models of the same server that held the card when this one was loaded."""
    reading, figures = sheet.reading, sheet.figures
    if sheet.holds("place.whole"):
        return
    listed, hit = _rows_of_one_list(reading), reading.hit("existing_models")
    if len([row for row in listed if row.size_vram or (row.size_vram is None and (row.gpu or 0) > 0)]) <= _has_layers(reading):
        listed = []  # the others are in system memory
    held = sum(row.size_vram or 0 for row in reading.ps if row is not worst_row(reading))
    in_vain = bool(held) and figures.fits(None if figures.free is None else figures.free + held) is False
    sheet.record("other_model.in_vain", in_vain or None, "without the other model there would not be room either")
    if len(listed) > 1:
        names = ", ".join(row.name for row in listed[:3])
        sheet.record(
            "other_model.listed",
            True,
            f"{len(listed)} models are loaded: {names}",
            hit.at if hit else None,
            *(row.at for row in listed[:2]),
        )
    if hit is not None:
        sheet.record("other_model.resident", True, "another model was resident when this one was loaded", hit.at, of=hit)
    for log in reading.logs:
        for device, seen in log.free_seen.items():
            if len(log.blobs) > 1 and len(seen) > 1 and seen[-1] < seen[0] - GIB:
                text = f"a second model was loaded after another: {device} had {seen[0] / GIB:.1f} GiB free at first, then {seen[-1] / GIB:.1f}"
                sheet.record("other_model.dropped", True, text, Quote(log.name, f"{log.blobs[0]} … {log.blobs[-1]}"))
    evicted, files = reading.hit("evicting"), {load.model for load in reading.loads if load.model}
    if evicted is None and (len(files) > 1 or len(reading.evidence.runners or ()) > 1 or not (files or reading.loads)):
        evicted = reading.hit("vram_not_recovered")  # with one model, its own unloading freed the memory
    if evicted is not None:
        sheet.record("other_model.evicted", True, "another model had to be evicted for it", evicted.at, of=evicted)
        again = [one for one in reading.hits if one.key == "evicting"]
        sheet.record(
            "other_model.turns",
            len(again) > 1 or None,
            "models are evicted for each other again and again",
            again[0].at if again else None,
        )


def _has_layers(reading: Reading) -> bool:
    """Whether the load or the listed row shows the model in question on the card."""
    own = next((row for row in reading.ps if row.name == reading.evidence.model), None)
    if own is not None:
        return bool(own.size_vram) if own.gpu is None else own.gpu > 0
    return reading.offloaded is not None and reading.offloaded[0] > 0


def _rows_of_one_list(reading: Reading) -> list[PsRow]:
    """Return rows of one list: neighbours with different names, each with memory."""
    rows = [row for row in reading.ps if row.name and (row.size or row.gpu is not None)]
    best: list[PsRow] = []
    for row in rows:
        where, _, line = row.at.where.rpartition(":")
        group = [row]
        for other in rows:
            place, _, number = other.at.where.rpartition(":")
            near = number == line or (is_whole(number) and is_whole(line) and 0 < int(number) - int(line) <= len(group))
            if place == where and near and other.name not in {one.name for one in group}:
                group.append(other)
        if len(group) > len(best):
            best = group
    return best


def record_growth(sheet: FactSheet) -> None:
    """Compare a file's size with what people say the loaded model takes."""
    match = _GROWN.search(sheet.reading.prose)
    if match is None:
        return
    file, taken = float(match[1]), float(match[2])
    if sheet.holds("slots.many"):
        text = f"it takes {taken:g} GB, its file {file:g} GB: the rest is the slots' context"
        sheet.record("slots.sized", taken > 2 * file or None, text, Quote("text", match[0]))
    else:
        text = f"it takes {taken:g} GB, its file {file:g} GB: the rest is context"
        sheet.record("size.mostly_cache", taken > 2 * file or None, text, Quote("text", match[0]))
