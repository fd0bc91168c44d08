"""Several clients at once."""

from __future__ import annotations

import json
import threading

from tests.lab.ollama.play import MISTRAL, PHI, Played, play


def start(played: Played, body: dict[str, object], answers: list[int]) -> threading.Thread:
    def ask() -> None:
        answers.append(played.ask("/api/generate", body)[0])

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_more_waiting_requests_than_the_queue_takes_are_refused() -> None:
    played = play(OLLAMA_MAX_QUEUE="1")
    busy = played.server.handle("POST", "/api/generate", json.dumps({"model": MISTRAL, "prompt": "Why?"}).encode())
    answers: list[int] = []
    refused = threading.Event()
    threads = []

    def ask(number: int) -> None:
        status = played.load(num_gpu=number)[0]
        answers.append(status)
        if status == 503:
            refused.set()

    for number in range(1, 7):
        threads.append(threading.Thread(target=ask, args=(number,)))
        threads[-1].start()
    assert refused.wait(20)
    busy.close()
    for thread in threads:
        thread.join(20)
    assert sorted(set(answers)) == [200, 503]
    assert answers.count(200) <= 3


def test_a_busy_model_is_not_evicted_before_its_answer_is_complete() -> None:
    played = play(models=(MISTRAL, PHI))
    busy = played.server.handle("POST", "/api/generate", json.dumps({"model": PHI, "prompt": "Why?", "keep_alive": -1}).encode())
    next(busy.chunks)
    answers: list[int] = []
    thread = start(played, {"model": MISTRAL, "stream": False}, answers)
    assert [each["name"] for each in played.ps()] == [PHI]
    busy.read()
    thread.join(20)
    assert answers == [200]
    assert [each["name"] for each in played.ps()] == [MISTRAL]
