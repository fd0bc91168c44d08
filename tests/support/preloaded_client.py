"""The caller's half of `loaded`: hands over streams, folder, environment and words, and ends as the start ended."""

from __future__ import annotations

import json
import os
import socket
import sys


def main() -> int:
    address, *words = sys.argv[1:]
    asked = json.dumps({"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}).encode()  # noqa: PTH109 - pathlib costs a start
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(asked)
        code = int(server.recv(16) or b"70")
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
