"""The same file through pypsrp's WinRS shell, as base64 lines to a program that writes them: what its own copy did before PSRP."""

from __future__ import annotations

import base64
import hashlib
import os
import sys

from pypsrp.shell import Process, WinRS
from pypsrp.wsman import WSMan

CONTENT = os.urandom(int(sys.argv[2]))
PASSWORD = "Pa55-word"
wsman = WSMan("127.0.0.1", port=int(sys.argv[1]), username="ops", password=PASSWORD, ssl=False, auth="ntlm", no_proxy=True)
with wsman, WinRS(wsman) as shell:
    process = Process(shell, "sink", [sys.argv[3]])
    process.begin_invoke()
    room = int((wsman.max_payload_size - 100) / 4 * 3)
    for at in range(0, len(CONTENT), room):
        process.send(base64.b64encode(CONTENT[at : at + room]) + b"\n", end=at + room >= len(CONTENT))
    process.end_invoke()
    assert process.stdout.split() == [hashlib.sha256(CONTENT).hexdigest().encode()]
print(hashlib.sha256(CONTENT).hexdigest())
