"""Accept connections for all listeners of a lab in one thread: two hundred idle hosts cost no more than one."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterable

from remediation_lab.winrm.server import WinRmServer


class Door:
    """Accepts connections for many servers; each connection then gets its thread as with `serve_forever`."""

    def __init__(self, servers: Iterable[WinRmServer]) -> None:
        self._selector = selectors.DefaultSelector()
        for server in servers:
            server.socket.setblocking(False)  # the socket module's own parameter
            self._selector.register(server, selectors.EVENT_READ, server)
        self._inside, self._bell = socket.socketpair()
        self._selector.register(self._inside, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def open(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def close(self) -> None:
        """Accept no more connections."""
        self._bell.send(b"!")
        self._thread.join()
        self._selector.close()
        for end in (self._inside, self._bell):
            end.close()

    def _accept(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data.admit()
