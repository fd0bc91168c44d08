"""How Windows PowerShell is started on Windows itself."""

from __future__ import annotations

import pytest

from remediation.connections.worker.local_process import child_environment, native

VARIABLES = {"Path": "C:\\Windows", "PSModulePath": "C:\\Program Files\\PowerShell\\7\\Modules", "SystemRoot": "C:\\Windows"}
SYSNATIVE = "C:\\Windows\\Sysnative\\WindowsPowerShell\\v1.0\\powershell.exe"


@pytest.mark.parametrize("program", ["powershell.exe", "PowerShell", SYSNATIVE])
def test_windows_powershell_finds_its_own_modules(program: str) -> None:
    assert child_environment(program, VARIABLES) == {"Path": "C:\\Windows", "SystemRoot": "C:\\Windows"}
    assert child_environment("pwsh.exe", VARIABLES) == VARIABLES


def test_a_32_bit_process_starts_the_powershell_of_the_system() -> None:
    narrow = {**VARIABLES, "PROCESSOR_ARCHITEW6432": "AMD64"}
    assert native("powershell.exe", narrow, lambda path: path == SYSNATIVE) == SYSNATIVE
    assert native("powershell.exe", narrow, lambda _: False) == "powershell.exe"
    assert native("powershell.exe", VARIABLES, lambda _: True) == "powershell.exe"
    assert native("pwsh.exe", narrow, lambda _: True) == "pwsh.exe"
