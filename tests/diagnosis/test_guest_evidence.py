"""A server in a distribution of WSL in the evidence: saved, read back, and without secrets."""

from __future__ import annotations

import json

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.redaction import redacted
from remediation.model.facts import Manager, ServiceUnit, Serving, SourcedSetting, WslServer

UNIT = ServiceUnit(
    "ollama.service", environment={"OLLAMA_API_KEY": "hidden-5577"},
    settings=(SourcedSetting("OLLAMA_API_KEY", "hidden-5577", "the unit", wins=True),),
    files={"/home/mariaperez/ollama.conf": 'Environment="OLLAMA_API_KEY=hidden-5577"\n'},
)  # fmt: skip
EVIDENCE = Evidence(
    serving=Serving(Manager.WSL, "Ubuntu", wsl=True, settings=UNIT.settings, guest=WslServer(2, running=True, unit=UNIT))
)


def test_it_is_saved_and_read_back() -> None:
    assert Evidence.from_json(json.loads(json.dumps(EVIDENCE.to_json()))) == EVIDENCE


def test_secrets_and_people_are_removed() -> None:
    text = json.dumps(redacted(EVIDENCE).to_json())
    assert "hidden-5577" not in text
    assert "mariaperez" not in text
