"""What the stand-in refuses, in the real texts and codes."""

from __future__ import annotations

import json

import pytest

from tests.lab.ollama.play import play

ERRORS = [
    ("/api/generate", b'{"model":"nosuch:1b"}', 404, "model 'nosuch:1b' not found"),
    ("/api/generate", b"", 400, "missing request body"),
    ("/api/generate", b'{"model": ', 400, "unexpected EOF"),
    ("/api/generate", b"hello", 400, "invalid character 'h' looking for beginning of value"),
    (
        "/api/generate",
        b'{"model":"mistral:7b-instruct","options":{"num_gpu":"1"}}',
        500,
        'option "num_gpu" must be of type integer',
    ),
    ("/api/show", b'{"model":"nosuch:1b"}', 404, "model 'nosuch:1b' not found"),
    ("/api/pull", b'{"model":"nosuch:1b","stream":false}', 500, "pull model manifest: file does not exist"),
]


@pytest.mark.parametrize(("path", "body", "status", "text"), ERRORS)
def test_errors_have_the_real_texts_and_codes(path: str, body: bytes, status: int, text: str) -> None:
    answer = play().server.handle("POST", path, body)
    assert (answer.status, json.loads(answer.read())) == (status, {"error": text})
