"""The transport `certificate` against the lab's HTTPS listener: a login without a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Run
from remediation.model.errors import Unreachable
from remediation_lab import control
from tests.connections import certificates
from tests.connections.conftest import opened


def variables(lab: control.Lab, certificate: Path) -> dict[str, object]:
    host = lab.hosts[0]
    return {
        "ansible_connection": "winrm", "ansible_host": host.address, "ansible_port": host.port, "ansible_winrm_transport": "certificate",
        "ansible_winrm_cert_pem": str(certificate), "ansible_winrm_cert_key_pem": str(certificate),
        "ansible_winrm_ca_trust_path": str(lab.authority),
    }  # fmt: skip


def test_a_certificate_is_login_enough_and_a_stranger_s_is_not(tmp_path: Path) -> None:
    lab = control.start(tmp_path / "lab", hosts=1, scale=100, tls="good")
    try:
        guard = opened(variables(lab, lab.certificate))
        (done,) = guard.exchange([Run(("hostname",))])
        assert done == Completed(0, b"LAPTOP-07\r\n", b"")
        guard.close()
        certificates.made(tmp_path, "stranger")
        with pytest.raises(Unreachable) as caught:
            opened(variables(lab, tmp_path / "host.pem")).exchange([Run(("hostname",))])
        assert "\n" not in caught.value.message
        with pytest.raises(Unreachable, match=r"there is no .*none\.pem|not found"):
            opened(variables(lab, tmp_path / "none.pem")).exchange([Run(("hostname",))])
    finally:
        control.stop(tmp_path / "lab")
