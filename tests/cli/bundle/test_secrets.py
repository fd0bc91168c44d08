"""Seven kinds of secrets and three of names in the runs of one bundle each: none of them is in any member."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from remediation_lab import control
from tests.cli.processes import Remediate, Started
from tests.cli.watch.webhook_receiver import receiver
from tests.templating.vaults import SECRET, VALUE

HOST = "laptop-07"
COMPOSE = "C:\\dev\\activia1\\docker-compose.yml"
KEY = base64.b64encode(b"openssh-key-v1" + bytes(range(160))).decode()
SECRETS = {
    "password of the inventory": "inventoryPW-31",
    "value of a vault": VALUE.holds,
    "token in a URL": "urlTOKEN32",
    "Authorization header": "headerTOKEN33abcdefghij",
    "environment of a container": "hf_containerTOKEN34abcdefgh",
    "address of the webhook": "hookTOKEN35",
    "key file": KEY[40:80],
}
NAMES = ("dev-17", "maria.lopez", "10.20.30.40")
PLAYBOOK = """
- hosts: dev-17.corp.example
  gather_facts: false
  tasks:
    - debug: {msg: "{{ db_password }} {{ hidden }} of maria.lopez@corp.example at 10.20.30.40"}
    - uri:
        url: "%(url)s/x?access_token=urlTOKEN32"
        method: POST
        body_format: json
        body: {a: 1}
        headers: {Authorization: Bearer headerTOKEN33abcdefghij}
        return_content: true
    - command: cat id_ed25519
    - command: "echo Authorization: Bearer headerTOKEN33abcdefghij"
    - command: "echo GET %(url)s/x?access_token=urlTOKEN32"
      risk: disruptive
- hosts: laptop-07
  gather_facts: false
  tasks:
    - stack.up: {}
    - service.recreated: {service: ollama}
    - command: docker inspect ai-native-ollama
"""


def project(folder: Path, url: str) -> None:
    """Write the project with its secrets, and start a lab whose container has one too."""
    indented = VALUE.text.strip().replace("\n", "\n          ")
    (folder / "inv.yml").write_text(
        f"""
all:
  hosts:
    dev-17.corp.example:
      ansible_connection: local
      db_password: {SECRETS["password of the inventory"]}
      hidden: !vault |
          {indented}
""",
        "utf-8",
    )
    (folder / "pw").write_text(SECRET, "utf-8")
    (folder / "pw").chmod(0o600)
    key = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n-----END OPENSSH PRIVATE KEY-----\n"
    (folder / "id_ed25519").write_text(key, "utf-8")
    (folder / "site.yml").write_text(PLAYBOOK % {"url": url}, "utf-8")
    control.start(folder / "state" / "remediation" / "lab", hosts=1)
    with closing(control.machine(HOST, folder / "state" / "remediation" / "lab")) as client:
        text = base64.b64decode(client.call("read", path=COMPOSE)["content"]).decode()
        entry = rf"\1\2HF_TOKEN={SECRETS['environment of a container']}\n\2"
        added = re.sub(r"(\n +ollama:\n(?:.*\n)*? +environment:\n)( +- )", entry, text, count=1).encode()
        assert added != text.encode()
        part = {"content": base64.b64encode(added).decode(), "sha256": hashlib.sha256(added).hexdigest()}
        client.call("write", path=COMPOSE, offset=0, last=True, **part)


def run_of(done: Started) -> str:
    return str(next(event["run"] for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "run_start"))


def members(remediate: Remediate, folder: Path, run: str) -> dict[str, str]:
    done = remediate("bundle", run, "--out", f"{run}.zip")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(folder / f"{run}.zip") as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
def bundles(remediate: Remediate, tmp_path: Path) -> dict[str, dict[str, str]]:
    """The members of the bundles of a play and of a watch's repair, by run."""
    with receiver() as received:
        project(tmp_path, received.url)
        both = ("--inventory", "inv.yml", "--inventory", "lab")
        given = (*both, "--vault-password-file", "pw", "--max-risk", "disruptive", "--json")
        played = remediate("play", "site.yml", *given, "--record", "tape.jsonl")
        assert played.returncode == 0, played.stdout + played.stderr
        hook = f"{received.url}/services/hookTOKEN35"
        watched = remediate("watch", "--inventory", "lab", "--once", "--json", "--max-risk", "disruptive", "--notify", hook)
        assert watched.returncode == 0, watched.stdout + watched.stderr
        assert [path for path, _ in received.posts if "hook" in path] == ["/services/hookTOKEN35"]
    repair = next(json.loads(line)["run"] for line in watched.stdout.splitlines() if "repaired" in line)
    return {run: members(remediate, tmp_path, run) for run in (run_of(played), repair)}


def test_no_member_of_a_bundle_holds_a_secret_or_a_name(bundles: dict[str, dict[str, str]], remediate: Remediate) -> None:
    for run, files in bundles.items():
        print(run, {name: len(text) for name, text in files.items()})
        found = [(name, what) for name, text in files.items() for what, secret in SECRETS.items() if secret in text]
        assert not found
        assert not [(name, one) for name, text in files.items() for one in (*NAMES, HOST) if one.lower() in text.lower()]
    played, repaired = bundles
    assert "BEGIN OPENSSH PRIVATE KEY" in bundles[played]["journal.jsonl"]
    for kept in ("HF_TOKEN", "access_token", "Authorization"):
        assert kept in "".join(bundles[played].values()), kept
    (found,) = json.loads(remediate("diagnose", "--evidence", f"{repaired}.zip", "--json").stdout)
    assert (found["findings"][0]["cause"], found["offloaded"]) == ("vram_occupied", [1, 33])
