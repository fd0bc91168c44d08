"""The registry that the lab's models come from: manifests by HTTP, ``python -m remediation_lab.ollama.registry --port N``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from remediation_lab.ollama.disk import short
from remediation_lab.ollama.models import REGISTRY, ModelFile, ModelStore

_PATH = re.compile(r"/v2/library/(?P<model>[\w.-]+)/manifests/(?P<tag>[\w.-]+)")
_UNKNOWN = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'


def answer(path: str, registry: Mapping[str, ModelFile] = REGISTRY) -> tuple[int, bytes]:
    """Answer one GET with a status and a body."""
    found = _PATH.fullmatch(path)
    model = ModelStore(registry=registry).fetch(f"{found['model']}:{found['tag']}", 0.0) if found else None
    return (404, _UNKNOWN) if model is None else (200, model.manifest)


class _Handler(BaseHTTPRequestHandler):
    registry: Mapping[str, ModelFile] = {}

    def do_GET(self) -> None:
        """Answer."""
        status, body = answer(self.path, self.registry)
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # http.server's signature
        """Say nothing."""


def server(port: int = 0) -> ThreadingHTTPServer:
    """Return a registry on loopback for the models as they lie on a stand-in's disk."""
    handler = type("Handler", (_Handler,), {"registry": short(REGISTRY)})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m remediation_lab.ollama.registry", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(arguments)
    with server(options.port) as listening:
        sys.stdout.write(f"http://127.0.0.1:{listening.server_address[1]}\n")
        sys.stdout.flush()
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
