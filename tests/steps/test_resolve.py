"""What a step works on where the host does not show it: what is missing is named, with what starts it."""

from __future__ import annotations

import pytest

from remediation.facets.protocols import LookContext
from remediation.model.errors import CallFailed, NoTarget, Unreachable
from remediation.model.facts import Manager, ServiceUnit, Serving, Target
from remediation.steps.resolve import resolve_model
from tests.engine.fakes.examples import unit
from tests.engine.fakes.host import FakeReader, World


class Bare(FakeReader):
    """A host on which no Ollama answers."""

    def __init__(self, world: World) -> None:
        super().__init__(world, LookContext(world.clock.start))

    def target(self) -> Target:
        return Target()


def idle(**states: str) -> World:
    """Return a Linux host without a server, with a stopped unit if a state is given."""
    world = unit()
    stopped = ServiceUnit("ollama.service", states["state"], 0) if states else None
    world.serving = Serving(Manager.NOTHING, unit=stopped)
    return world


def test_the_name_that_is_given_needs_no_host() -> None:
    assert resolve_model("phi3:3.8b", Bare(idle())) == "phi3:3.8b"


@pytest.mark.parametrize(("state", "shown"), [("failed", "failed"), ("", "stopped")])
def test_a_unit_that_does_not_run_is_named_with_the_command_that_starts_it(state: str, shown: str) -> None:
    with pytest.raises(NoTarget, match=f"the service ollama of .* is {shown}, and no other Ollama answers") as caught:
        resolve_model(None, Bare(idle(state=state)))
    assert caught.value.next_step.startswith("sudo systemctl start ollama;")


def test_everything_that_a_host_lacks_is_in_one_sentence() -> None:
    world = idle()
    with pytest.raises(NoTarget) as caught:
        resolve_model(None, Bare(world))
    assert caught.value.message.endswith("serves a model: no Ollama answers, no container runs it")
    world.fails["gpu.use"] = [CallFailed("no NVIDIA driver answers")]
    world.fails["engine.facts"] = [CallFailed("no Docker engine answers")]
    with pytest.raises(NoTarget) as caught:
        resolve_model(None, Bare(world))
    assert caught.value.message.endswith("no Ollama answers, no Docker engine answers, no NVIDIA driver answers")
    assert "--inventory lab" in caught.value.next_step


def test_a_stopped_docker_desktop_may_be_why_nothing_answers() -> None:
    world = idle()
    world.os = "windows"
    world.fails["engine.facts"] = [CallFailed("the engine does not answer")]
    world.fails["ollama.version"] = [Unreachable("nothing listens at port 11434")]
    with pytest.raises(Unreachable, match="nothing listens"):
        resolve_model(None, Bare(world))
