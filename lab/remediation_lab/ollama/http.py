"""An HTTP server in front of the stand-in; streams go out in chunks as they are made."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from remediation_lab.ollama.answers import NoAnswer
from remediation_lab.ollama.server import OllamaServer


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: OllamaHttp

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = self.server.ollama.handle(self.command, self.path, body, self.client_address[0])
        except NoAnswer:
            self.server.stopping.wait()  # the client waits until it gives up, or the server ends
            self.close_connection = True
            return
        chunked = "Content-Length" not in answer.headers
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for chunk in answer.chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
                self.wfile.flush()
            if chunked and self.command != "HEAD":
                self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.close_connection = True  # the client gave up; gin logs the request anyway
        finally:
            answer.close()

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = _answer

    def log_message(self, format: str, *args: object) -> None:  # http.server's signature
        """Say nothing: the stand-in logs requests as gin does."""


class OllamaHttp(ThreadingHTTPServer):
    """Serves one stand-in on an address; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, ollama: OllamaServer, address: tuple[str, int]) -> None:
        self.ollama = ollama
        self.stopping = threading.Event()
        super().__init__(address, _Handler)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self.server_address[1])

    def serve_forever(self, poll_interval: float = 0.05) -> None:
        """Serve until `stop`, which waits for at most one interval."""
        super().serve_forever(poll_interval)

    def stop(self) -> None:
        """End the server; requests that would never be answered end too."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self.ollama.stop()
