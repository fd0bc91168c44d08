"""Frees GPU memory by closing the user's own programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ByteSize, field_validator

from remediation.diagnosis.runners import vram_freed_by_unloading
from remediation.diagnosis.units import MIB, human
from remediation.diagnosis.versions import parse_version
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.errors import NO_ANSWER, CallFailed, NotApplicable, Unreadable
from remediation.model.facts import GpuUse
from remediation.model.finding import Cause, RuledOut
from remediation.model.programs import is_protected, program_name
from remediation.steps.contract import Step, param, step
from remediation.steps.gpu.closable_programs import (
    ASK_FIRST,
    CLOSABLE,
    UNKNOWN_OWNER,
    Tree,
    close_change,
    close_program,
    trees,
    why_protected,
)
from remediation.steps.model.load_state import LoadState, load_state
from remediation.steps.model.vram_room import held_vram
from remediation.steps.resolve import resolve_model, runner_of

_NEAR = 10
"""A plan may fall short by a tenth and is still tried, because the memory released by closing is only estimated."""


@dataclass(frozen=True, slots=True)
class Room:
    """GPU memory of a host: what is free (the target's own runner counts as free, because a reload releases it) and who uses the rest.

    ``want`` is the amount that must be free, None if neither the user nor the memory model gives one. ``unreliable`` says why
    the amounts per program cannot be trusted; nothing is closed then.
    """

    free: int
    total: int
    want: int | None
    because: str
    holders: tuple[Tree, ...]
    unreliable: str = ""

    @property
    def lacking(self) -> int:
        """Missing bytes."""
        return max(0, (self.want or 0) - self.free)


class CloseProgramsStep(Step[Room]):
    """Base of the steps that close programs to free GPU memory."""

    close: tuple[str, ...] = param(
        "programs that may be closed, without .exe; programs named here are closed even if they may hold unsaved work",
        default=CLOSABLE,
        example=["chrome", "Discord"],
    )
    least: ByteSize = param("programs that use less are kept", default=ByteSize(200 * MIB), example="200 MiB")
    grace: float = param("seconds to wait for a program to close", default=15.0, ge=1, le=120)
    force: bool = param("kill programs that do not close", default=False)

    @field_validator("close")
    @classmethod
    def _close(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if is_protected(name):
                msg = f"{name} belongs to the system, Docker or Ollama and is never closed; remove it from close"
                raise ValueError(msg)
        return value

    def plan(self, state: Room) -> Iterator[Change]:
        """Close programs, largest first, until enough memory is free. Plan nothing if that cannot be enough."""
        if self.is_met(state) or state.unreliable or state.want is None:
            return
        closable = self._closable(state)
        if state.lacking - sum(tree.vram for tree in closable) > state.want // _NEAR and not any(one.unknown for one in closable):
            return
        free = state.free
        for tree in closable:
            if free >= state.want:
                return
            free += tree.vram
            yield self._change(tree)

    def _change(self, tree: Tree) -> Change:
        if tree.root.orphan:
            return Change(
                f"end {tree.name} (process {tree.root.pid}), a runner left behind by a server that has exited", subject=tree.root.key,
                before=tree.vram, after=0, risk=Risk.SAFE, data={"frees": tree.vram, "name": tree.name, "orphan": True},
            )  # fmt: skip
        return close_change(tree, force=self.force, before=tree.vram, after=0)

    def apply(self, host: Writer, change: Change) -> None:
        force = self.force or bool(change.data.get("orphan"))
        close_program(host, change, grace=self.grace, force=force, instead=f"remove {change.data['name']} from close, ")

    def measured_effect(self, change: Change, before: Room, after: Room) -> str:
        return f"predicted +{human(int(change.data['frees']))}, measured {_signed_size(after.free - before.free)}"

    def values(self, state: Room) -> dict[str, Any]:
        return {
            "free": state.free,
            "want": state.want,
            "holders": [{"program": tree.name, "vram": tree.vram, "known": not tree.unknown} for tree in state.holders],
        }

    def advice(self, state: Room) -> str:
        """Name the program to close by hand if the programs that this step keeps use most of the missing memory."""
        kept = [
            (tree, self._why_kept(tree))
            for tree in state.holders
            if tree.vram >= self.least and not is_protected(tree.root.program)
        ]
        kept = [(tree, why) for tree, why in kept if why]
        if (
            state.unreliable
            or state.want is None
            or state.want > state.total
            or sum(one.vram for one, _ in kept) < state.lacking // 2
        ):
            return ""
        tree, why = max(kept, key=lambda item: item[0].vram)
        if why.endswith(UNKNOWN_OWNER):
            return f"log in as an administrator: this login cannot see the owner of {tree.name}, so it is not closed"
        owner = f", of {tree.root.owner}" if tree.root.owner else ""
        return f"close {tree.name} (process {tree.root.pid}{owner}): it uses {human(tree.vram)}; then run this again"

    def rules_out(self, state: Room) -> Iterator[RuledOut]:
        yield RuledOut(Cause.VRAM_OCCUPIED, f"{human(state.free)} of {human(state.total)} are free")

    def _closable(self, state: Room) -> list[Tree]:
        return sorted((tree for tree in state.holders if not self._why_kept(tree)), key=lambda tree: not tree.root.orphan)

    def _why_kept(self, tree: Tree) -> str:
        """Return why a program is kept, or "" if it may be closed."""
        program = tree.root.program
        protected = why_protected(tree.root)
        if protected:
            return f"protected: {protected}"
        if tree.root.orphan:
            return ""
        if program not in {program_name(name) for name in self.close}:
            return "ask first: name it in close" if program in ASK_FIRST else "not in close"
        if tree.vram == 0 and tree.unknown:
            return "its GPU memory is unknown"
        return "" if tree.vram >= self.least else f"less than {human(self.least)}"

    def _describe_rest(self, state: Room) -> str:
        """Describe the programs that use the rest and why they are kept."""
        if state.unreliable:
            return f"the amounts per program contradict the card's total ({state.unreliable}), so nothing is closed"
        kept = [(tree, self._why_kept(tree)) for tree in state.holders]
        named = [f"{tree.name} {human(tree.vram)} ({why})" for tree, why in kept if why and tree.vram >= self.least]
        return f"not closed: {', '.join(named)}" if named else ""


@step("vram.free", risk=Risk.DISRUPTIVE, settle=20.0, deadline=180.0)
class FreeVram(CloseProgramsStep):
    """Enough VRAM is free for the model. If not, programs that use VRAM are closed, largest first.

    Unless given, the required amount comes from the model's memory requirements. The memory of the model's own runner counts as
    free. Reload the model afterwards (model.reloaded), because a loaded model keeps its layers.
    """

    want: ByteSize | None = param("VRAM that must be free; defaults to what the model needs", default=None, example="4.5 GiB")
    model: str | None = param("model name; defaults to the target's", default=None, example="mistral:7b-instruct-q4_K_M")

    def observe(self, host: Reader) -> Room:
        use = self._use(host)
        holders = tuple(trees(use.processes, host.processes.list()))
        total = use.largest
        unreliable = "" if use.reliable else (use.why_unreliable or "the driver's counters are unreliable")
        if self.want is not None and self.model is None and host.target().model is None:
            return Room(use.free, total, int(self.want), "as given", holders, unreliable)
        state = load_state(host, resolve_model(self.model, host))
        free = state.room if state.room is not None else use.free + _own_vram(state)
        want, because = (int(self.want), "as given") if self.want is not None else _needed_vram(state, free)
        return Room(min(free, total), total, want, because, holders, unreliable)

    def _use(self, host: Reader) -> GpuUse:
        """Read the cards. Raises `NotApplicable` if a GPU serves the model but no tool reports its memory (not NVIDIA, or WSL)."""
        try:
            return measurable(host)
        except Unreadable:
            raise
        except NO_ANSWER as error:
            runner = runner_of(resolve_model(self.model, host), host.ollama.running())
            if runner is None or not runner.size_vram:
                raise
            raise NotApplicable(
                f"does not apply, because the free VRAM cannot be determined: {error.message}", host=host.name
            ) from error

    def is_met(self, state: Room) -> bool | None:
        return None if state.want is None else state.free >= state.want

    def describe(self, state: Room) -> str:
        if state.want is None:
            return f"{human(state.free)} of {human(state.total)} are free; {state.because}: set want"
        text = f"{human(state.free)} of {human(state.total)} are free, {human(state.want)} are required ({state.because})"
        if self.is_met(state):
            return text
        if state.want > state.total:
            return f"{text}; the card has less in total: use a smaller model or context (model.smaller)"
        return "; ".join(filter(None, (text, self._describe_rest(state))))


def measurable(host: Reader) -> GpuUse:
    """Return the cards and their programs. Raises `CallFailed` if a card does not report its free memory."""
    use = host.gpu.use()
    if use.silent is not None:
        why, _, cure = use.silent.problem.partition(": ")
        raise CallFailed(f"{use.silent.name} does not report its memory: {why}", host=host.name, next_step=cure)
    return use


def _own_vram(state: LoadState) -> int:
    return held_vram(state.runner, state.setup.version) if state.runner is not None else 0


def _needed_vram(state: LoadState, free: int) -> tuple[int | None, str]:
    """Return the memory that all layers need, and the source of that figure. `free` includes what the model itself holds."""
    fit = state.fit
    if fit is not None:
        return fit.need_all, f"all {fit.total} layers of {state.model} at {state.setup.context} context"
    if state.runner is not None and 0 < state.runner.size <= state.runner.size_vram:
        return min(free, state.runner.size), f"the size that the server reports for {state.model}, all of it on the GPU"
    if state.runner is not None and state.runner.size > state.runner.size_vram:
        reserve = 1024 * MIB
        return state.runner.size + reserve, f"the size that the server reports for {state.model}, and 1.0 GiB to spare"
    return None, f"the memory that {state.model} needs is unknown (no rule for its architecture)"


def _signed_size(amount: int) -> str:
    return f"+{human(amount)}" if amount >= 0 else f"-{human(-amount)}"


@step("vram.at_most", risk=Risk.DISRUPTIVE, settle=20.0, deadline=180.0)
class VramAtMost(CloseProgramsStep):
    """Programs other than Ollama use at most this much VRAM. If they use more, they are closed, largest first.

    Suited to the guide's thresholds (1500, 1000 or 500 MiB before the containers start). To free what a model needs, use
    vram.free.
    """

    used: ByteSize = param("highest amount of VRAM that other programs may use", example="1500 MiB")

    def observe(self, host: Reader) -> Room:
        """Read the card and its programs. Memory of Ollama's models is excluded."""
        use = measurable(host)
        total = use.largest
        free = min(total, use.free + vram_freed_by_unloading(use, _models(host)))
        unreliable = "" if use.reliable else (use.why_unreliable or "the driver's counters are unreliable")
        want = max(0, total - int(self.used))
        return Room(free, total, want, "as given", tuple(trees(use.processes, host.processes.list())), unreliable)

    def is_met(self, state: Room) -> bool | None:
        return state.want is None or state.free >= state.want

    def describe(self, state: Room) -> str:
        text = f"{human(state.total - state.free)} used by programs other than Ollama, at most {human(int(self.used))} allowed"
        return text if self.is_met(state) else "; ".join(filter(None, (text, self._describe_rest(state))))


def _models(host: Reader) -> int:
    try:
        version = parse_version(host.ollama.version())
        return sum(held_vram(runner, version) for runner in host.ollama.running())
    except NO_ANSWER:
        return 0  # the containers may not be running yet
