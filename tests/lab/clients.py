"""A third-party client: pywinrm, unpatched."""

from __future__ import annotations

import winrm

from remediation_lab import control


def client(lab: control.Lab, host: control.LabHost, **more: object) -> winrm.Protocol:
    given: dict[str, object] = {"transport": "ntlm", "username": lab.user, "password": lab.password, "proxy": None, **more}
    given.setdefault("ca_trust_path", str(lab.authority))
    return winrm.Protocol(host.endpoint, **given)  # type: ignore[arg-type]
