"""Errors that inventories, playbooks, connections and rules raise are Spanish, with their values and places as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from remediation.cli.watch.memory import RepairAttempt, WatchMemory
from remediation.cli.watch.notify import Webhook
from remediation.cli.watch.rules import QuietHours, RepairRules
from remediation.connections.settings import from_variables
from remediation.inventory.load import load_inventory
from remediation.model.errors import RemediationError
from remediation.model.facts import GpuUse
from remediation.model.translation import translated, use_language
from remediation.model.translation.console import error_text
from remediation.playbook.load import load_playbook
from remediation.report.gpus import Sample, sample_lines

ENGLISH = re.compile(r"\b(?:the|is|not|got|expected|must|has|have|with|after|and|check|set|names?|needs?)\b")
"""Words of the English sentences; none may be left."""


def inventory(text: str, name: str = "hosts.yml") -> Callable[[Path], object]:
    def load(folder: Path) -> object:
        (folder / name).write_text(text, "utf-8")
        return load_inventory([folder / name])

    return load


def playbook(text: str) -> Callable[[Path], object]:
    def load(folder: Path) -> object:
        (folder / "site.yml").write_text(text, "utf-8")
        return load_playbook(folder / "site.yml")

    return load


def connection(**variables: object) -> Callable[[Path], object]:
    return lambda _: from_variables("dev-07", variables)


@pytest.mark.parametrize(
    ("raises", "spanish"),
    [
        (inventory("gpu: {hosts: {'a[3:1]': }}"), "hosts.yml:1:15: host a[3:1]: el rango 3:1 termina antes de empezar"),
        (inventory("gpu: {hosts: {a: }, varz: {}}"), "grupo gpu: 'varz' no se conoce; ¿querías decir 'vars'?"),
        (inventory("gpu: [a]"), "grupo gpu: se esperaba un mapa con hosts, vars, children, y hay una lista"),
        (inventory("[gpu:vars]\nx=1\n", "hosts.ini"), "[gpu:vars] nombra un grupo que este archivo no define"),
        (lambda folder: load_inventory([folder / "none.yml"]), "siguiente: da uno con --inventory, como inventory/lab.yml"),
        (playbook("- hosts: all\n  tasks: 1\n"), "se esperaba una lista de tareas, y hay 1"),
        (playbook("- hosts: all\n  tasks: [{debug: {msg: 1}, command: ls}]\n"), "una tarea tiene un solo paso o acción"),
        (playbook("[]"), "este playbook no tiene plays"),
        (connection(ansible_connection="ssh", ansible_port="many"), "dev-07: ansible_port es 'many', que no es un puerto TCP"),
        (connection(ansible_connection="winrm", ansible_user="x"), "dev-07: falta ansible_password (su contraseña)"),
        (lambda _: QuietHours.parse("late"), "--quiet: se esperaba un horario como 22:00-06:00, y hay 'late'"),
        (lambda _: Webhook.of("HOOK", None, {}), "--notify: la variable HOOK no contiene una dirección http o https"),
    ],
)  # fmt: skip
def test_an_error_is_spanish(raises: Callable[[Path], object], spanish: str, tmp_path: Path) -> None:
    with pytest.raises(RemediationError) as caught:
        raises(tmp_path)
    with use_language("es"):
        text = error_text(caught.value)
    assert spanish in text
    assert not ENGLISH.findall(re.sub(r"\n +\d+ \|.*|'[^']*'|\S+_\S+", "", text)), text


def test_what_a_watch_says_is_spanish() -> None:
    memory = WatchMemory([RepairAttempt("a", "vram_occupied", 400.0, "7f3a", repaired=True)])
    why = RepairRules(cool_down=3600).decide("a", "vram_occupied", 1000.0, memory).why
    with use_language("es"):
        said = translated(f"a: {why} (1/33 layers on the GPU; wanted 33/33)")
    assert said == (
        "a: vram_occupied volvió 10 min 0 s después de una reparación (ejecución 7f3a); no se repara otra vez hasta dentro de 50 min 0 s "
        "(1/33 capas en la GPU; se piden 33/33)"
    )


def test_what_monitor_shows_of_a_host_is_spanish() -> None:
    with use_language("es"):
        (silent, *_), (gone,) = (
            [row for line in sample_lines(sample) for row in line.rows()]
            for sample in (
                Sample("a", 1.0, GpuUse((), (), True, "")),
                Sample("b", 1.0, error="b: nothing answers at 10.0.0.1:22"),
            )
        )
    assert silent.split() == ["a", "sin", "GPU", "de", "NVIDIA"]
    assert gone == "b  b: nada responde en 10.0.0.1:22"
