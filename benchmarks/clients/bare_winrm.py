"""The least code on pywinrm that keeps a worker: no deadline, no recovery, no check of anything."""

from __future__ import annotations

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import winrm

_PASSWORD = "Pa55-word"
_BOOTSTRAP = "ReadLine"
_COMMAND = base64.b64encode(_BOOTSTRAP.encode("utf-16-le")).decode()


def one(port: int, calls: int) -> int:
    """Make the calls to one host; return how many were right."""
    wire = winrm.Protocol(
        f"http://127.0.0.1:{port}/wsman", transport="ntlm", username="ops", password=_PASSWORD, proxy=None, ca_trust_path=None
    )  # fmt: skip
    shell = wire.open_shell(codepage=65001)
    command = wire.run_command(shell, "powershell.exe", ["-EncodedCommand", _COMMAND], console_mode_stdin=False)

    def line(value: object) -> bytes:
        return base64.b64encode(json.dumps(value).encode()) + b"\n"

    def frame() -> dict[str, object]:
        said = b""
        while not said.endswith(b"\n"):
            said += wire.get_command_output_raw(shell, command)[0]
        return dict(json.loads(base64.b64decode(said.split()[1])))

    wire.send_command_input(shell, command, line("worker") + line({"nonce": "n", "protocol": 1}))
    frame()
    right = 0
    for number in range(calls):
        wire.send_command_input(shell, command, line({"id": number, "calls": [{"op": "run", "argv": ["hostname"]}]}))
        (reply,) = frame()["replies"]  # type: ignore[misc]  # as the worker answers
        right += base64.b64decode(reply["stdout"]) == b"BENCHMARK\r\n"
    wire.close_shell(shell)
    return right


def main() -> None:
    """Print how many calls were right."""
    ports, calls, forks = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with ThreadPoolExecutor(forks) as pool:
        print(sum(pool.map(lambda port: one(port, calls), ports)))


main()
