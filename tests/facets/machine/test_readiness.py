"""What a repair rests on: from what the probe and the script say to typed facts."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from remediation.connections.calls import Call, Completed, Failed, Reply, Run
from remediation.connections.posix.local import run_program
from remediation.facets.host_factory import open_host
from remediation.facets.machine import readiness
from remediation.facets.machine.readiness import Compose, Distribution, Wsl
from remediation.facets.scripts import shell
from remediation.facets.silence import BRIEF
from remediation.facets.snapshot import Snapshot
from remediation_lab import control
from tests.facets import powershell
from tests.facets.prepared_connection import Answering
from tests.facets.real_hosts import lab_variables
from tests.facets.test_probes import Recording, answer

LINES = """groups ops docker
socket writable
module 550.54.14
toolkit nvidia-ctk
program curl
program docker
unit docker active
unit ollama failed
"""


@pytest.fixture
def snapshot(lab: control.Lab) -> Iterator[Snapshot]:
    host = open_host(lab.hosts[0].name, lab_variables(lab), check=True)
    yield Snapshot(lambda: host.connection)
    host.close()


def test_a_windows_host_is_read_in_one_exchange(snapshot: Snapshot) -> None:
    found = readiness.windows_readiness(snapshot, {})
    assert snapshot._connect().round_trips == 1
    assert found.quotas["MaxShellsPerUser"] == 30
    assert found.quotas["IdleTimeout"] == 7_200_000
    assert found.compose == Compose("2.31.0-desktop.2")
    assert found.wsl == Wsl("WSLService", "Running", "2.3.26.0", (Distribution("docker-desktop", 2, own=False),))
    assert [name for name in found.classes if name.endswith("_GPUProcessMemory")]


def test_every_field_of_the_probe_is_read(lab: control.Lab) -> None:
    value = Recording(answer(lab, "readiness"))
    value["Distributions"][:] = rows = [Recording(row) for row in value["Distributions"]]
    quotas = set(value["Quotas"])
    found = readiness.readiness_from_probe(value, Compose("2"))
    assert value.read | {"Problems"} == set(value)
    assert rows[0].read == set(rows[0])
    assert set(found.quotas) == quotas
    assert {frozenset(quotas), frozenset(rows[0])} < powershell.keys("readiness")


def test_a_login_without_rights_sees_no_quotas(lab: control.Lab, snapshot: Snapshot) -> None:
    control.fault(lab.hosts[0].name, "not-elevated", lab.folder)
    found = readiness.windows_readiness(snapshot, {})
    assert found.quotas == {}
    assert found.quotas_problem == "Access is denied."


def test_what_no_number_stands_for_is_left_out() -> None:
    value = {"Quotas": {"MaxShellsPerUser": "", "IdleTimeout": "7200000"}, "QuotasProblem": None, "ByPolicy": ["IdleTimeout"], "GpuClasses": [],
             "GpuClassesProblem": "Invalid namespace ", "WslService": None, "WslState": None, "WslVersion": None, "Distributions": []}  # fmt: skip
    found = readiness.readiness_from_probe(value, Compose(problem="no such command"))
    assert found.quotas == {"IdleTimeout": 7_200_000}
    assert found.by_policy == ("IdleTimeout",)
    assert found.wsl == Wsl()


def test_the_lines_of_a_linux_host() -> None:
    found = readiness.from_lines(LINES, Compose("2.30.0"))
    assert found.groups == ("ops", "docker")
    assert (found.socket, found.module, found.toolkit) == ("writable", "550.54.14", "nvidia-ctk")
    assert found.programs == ("curl", "docker")
    assert found.units == {"docker": "active", "ollama": "failed"}


def test_the_script_runs_here_and_says_nothing_that_is_not_read() -> None:
    completed = run_program(Run(readiness.SCRIPT.argv))
    assert isinstance(completed, Completed)
    assert completed.rc == 0, completed.stderr
    names = {line.split(" ", 1)[0] for line in completed.text.splitlines()}
    assert "groups" in names
    assert names <= {line.split(" ", 1)[0] for line in LINES.splitlines()}


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build  (dvs-builder@x)", "550.54.14"),
    ],
)
def test_the_kernel_module_s_version_is_cut_out(line: str, version: str) -> None:
    expression = re.search(r"sed -n '([^']+)' /proc/driver/nvidia/version", shell("readiness"))
    assert expression is not None
    done = subprocess.run(
        ["sed", "-n", expression[1]], input=f"{line}\nGCC version: 12\n", capture_output=True, text=True, check=True
    )
    assert done.stdout == f"module {version}\n"


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (Completed(0, b"v2.40.3\r\n", b""), Compose("2.40.3")),
        (Completed(1, b"", b"docker: 'compose' is not a docker command."), Compose(problem="docker: 'compose' is not a docker command.")),
        (Completed(0, b"", b""), Compose(problem="no output")),
        (Failed("not-found", "there is no docker"), Compose(problem="there is no docker")),
    ],
)  # fmt: skip
def test_compose_says_its_version_or_why_not(reply: object, wanted: Compose) -> None:
    assert readiness._compose(reply) == wanted


def test_a_docker_that_does_not_end_is_known_as_such_and_waited_for_as_long_as_asked() -> None:
    class Hanging(Answering):
        def exchange(self, calls: Sequence[Call]) -> list[Reply]:
            self.asked.append(tuple(calls))
            return [Completed(0, b"groups ops\n", b""), Failed("timeout", f"docker did not end within {calls[1].timeout:g} s")]

    connection = Hanging()
    found = readiness.posix_readiness(connection.look(), {}, patience=BRIEF)
    assert found.compose == Compose(problem=f"docker did not end within {BRIEF:g} s", hangs=True)
