"""The listener of one host: connections, counters, the faults that wait, and restarting."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import PureWindowsPath
from socketserver import TCPServer
from typing import TypeAlias

from remediation_lab.winrm import soap
from remediation_lab.winrm.faults import Armed, Fault
from remediation_lab.winrm.handler import Handler
from remediation_lab.winrm.shells import Shell, Shells

POWERSHELL = (sys.executable, "-m", "remediation_lab.powershell")
Start: TypeAlias = "Sequence[str] | Callable[[Sequence[str]], Sequence[str]]"
"""The words that replace a program's name, or what makes all words from its arguments."""
PROGRAMS: Mapping[str, Start] = {"powershell": POWERSHELL}
"""What can be started, by name without .exe."""


class WinRmServer(ThreadingHTTPServer):
    """WinRM of one host on one address.

    With `tls` it speaks HTTPS, where messages need no encryption of their own; `booted` is called when a fault restarts the host.
    NTLM users come from the file that the environment variable NTLM_USER_FILE names, one ``DOMAIN:USER:PASSWORD`` per line.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(  # what a host's listener is made of, always given by name
        self, address: tuple[str, int], name: str, *, environment: Mapping[str, str] | None = None,
        programs: Mapping[str, Start] = PROGRAMS, tls: ssl.SSLContext | None = None, booted: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.secure = tls is not None
        self.faults = Armed()
        self.closing = threading.Event()
        self._tls, self._booted = tls, booted
        self._away_until = 0.0
        self._peers: dict[socket.socket, Shells] = {}
        self._given = dict(environment or {})
        self._programs = programs
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.shells = self._no_shells()
        super().__init__(address, Handler)

    @property
    def endpoint(self) -> str:
        """The URL that clients use."""
        host, port = self.server_address[:2]
        return f"http{'s' if self.secure else ''}://{host!s}:{port}/wsman"

    def count(self, what: str) -> None:
        """Count one more of something."""
        with self._lock:
            self._counts[what] += 1

    def counters(self) -> dict[str, int]:
        """Return what was counted: requests, authentication legs, each action, faults, and what is open now."""
        with self._lock:
            struck = {f"wire {kind}": count for kind, count in self.faults.struck.items()}
            return {**self._counts, **struck, **self.shells.counts()}

    def forget(self) -> None:
        """Set the counters to zero and take the faults out."""
        with self._lock:
            self._counts.clear()
        self.faults.clear()

    def shells_of(self, connection: socket.socket) -> Shells:
        """Return the shells that a connection may reach: those of the boot in which it was accepted."""
        with self._lock:
            return self._peers.get(connection, self.shells)

    def answer(self, request: soap.Request, user: str, shells: Shells, fault: Fault | None = None) -> tuple[int, bytes]:
        """Answer one request with an HTTP status and an envelope; `fault` may say what happens to the shell's programs.

        Raises ConnectionResetError where the host has restarted since the connection that carried the request was accepted.
        """
        try:
            return 200, shells.answer(request, user, fault)
        except soap.Fault as refused:
            self.count("faults")
            return 500, soap.fault(request.message_id, refused, self.name)

    def reboot(self, seconds: float, *, tell: bool = True) -> None:
        """Restart the host: shells, programs and connections are gone, and nothing is listened to for `seconds`.

        With `tell` the machine behind it learns it from here, else it was the machine that restarted.
        """
        self.count("reboots")
        with self._lock:
            self._away_until = time.monotonic() + seconds
            peers, before, self.shells = list(self._peers), self.shells, self._no_shells()
        before.end()
        if tell and self._booted is not None:
            self._booted()
        for peer in peers:
            with suppress(OSError):  # it hung up meanwhile
                peer.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Give a connection its thread; while the host restarts it is reset."""
        assert isinstance(request, socket.socket)
        with self._lock:
            away = time.monotonic() < self._away_until
            if not away:
                self._peers[request] = self.shells
        if away:
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close()
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Forget a connection that has ended."""
        assert isinstance(request, socket.socket)
        with self._lock:
            if isinstance(request, socket.socket):
                self._peers.pop(request, None)
        super().shutdown_request(request)

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, as http.server does: two hundred questions take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def admit(self) -> None:
        """Take one connection that waits."""
        self._handle_request_noblock()  # type: ignore[attr-defined]  # what serve_forever calls; typeshed leaves it out

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept one connection, blocking from then on even if the listener is not."""
        connection, address = super().get_request()
        if self._tls is not None:
            # the connection's thread does the handshake at its first read: a client that stalls delays no other client
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        connection.setblocking(True)  # the socket module's own parameter
        return connection, address

    def stop(self) -> None:
        """End the listener, the shells and their programs, where `serve_forever` runs."""
        self.shutdown()
        self.end()

    def end(self) -> None:
        """End the listener, the shells and their programs, where a `Door` accepts for it."""
        self.closing.set()
        self.server_close()
        self.shells.end()

    def handle_error(self, request: object, client_address: object) -> None:
        """Drop a connection that broke; other errors are shown."""
        if not isinstance(sys.exc_info()[1], OSError):  # a broken connection, or a TLS client that trusts us not
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as socketserver calls it

    def _no_shells(self) -> Shells:
        return Shells(self._launch, self._surroundings, self.count)

    def _launch(self, words: Sequence[str]) -> Sequence[str] | None:
        name = PureWindowsPath(words[0]).name.lower().removesuffix(".exe")
        start = self._programs.get(name)
        if start is None:
            return None
        return start(words[1:]) if callable(start) else [*start, *words[1:]]

    def _surroundings(self, shell: Shell) -> Mapping[str, str]:
        return {**os.environ, **shell.environment, **self._given, "REMEDIATION_LAB_CWD": shell.folder}
