"""The answers that need a loaded model: generate, chat, embed, and the OpenAI form of chat (facts/ollama 3)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from remediation_lab.ollama import damage, golang
from remediation_lab.ollama.answers import Answer, ApiError, encode, of_json, of_lines
from remediation_lab.ollama.catalogue import Catalogue
from remediation_lab.ollama.generation import AnswerRequest, RunnerDied, Tally, seconds_per_prompt_token, words
from remediation_lab.ollama.journal import line
from remediation_lab.ollama.loader import Run, Runner
from remediation_lab.ollama.models import EMBEDDING, Model
from remediation_lab.ollama.options import Options, keep_alive, merge
from remediation_lab.ollama.scheduler import Scheduler

_KILLED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)
_DIED = "an error was encountered while running the model: unexpected EOF"
_NAME = re.compile(r"(?:[\w.-]+(?::\d+)?/)?(?:[\w-]+/)?[\w][\w.-]*(?::[\w][\w.-]*)?")
_HEADS = {damage.Damage.BLOB_MAGIC, damage.Damage.BLOB_CUT_IN_HEADER}
_NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
_EMBEDDING = (-0.0143, -0.0276, 0.057, 0.1613, 0.0178, -0.0507, 0.0635, -0.0106)


@dataclass(frozen=True, slots=True)
class Shape:
    """How one endpoint dresses a word and the end."""

    word: Callable[[str], dict[str, Any]]
    last: Callable[[], dict[str, Any]]


GENERATE = Shape(lambda text: {"response": text}, lambda: {"response": ""})
CHAT = Shape(
    lambda text: {"message": {"role": "assistant", "content": text}},
    lambda: {"message": {"role": "assistant", "content": ""}},
)


class Inference:
    """Requests that load a runner and let it answer."""

    def __init__(self, run: Run, catalogue: Catalogue, scheduler: Scheduler, context: Callable[[], int]) -> None:
        self._context = context
        self._catalogue = catalogue
        self._scheduler = scheduler
        self._settings = run.settings
        self._release = run.release
        self._journal = run.journal
        self._clock = run.clock
        self._pace = run.pace
        self.dies_after: int | None = None
        self.active = 0

    def generate(self, body: Mapping[str, Any]) -> Answer:
        """Answer /api/generate: a prompt, or none to load or unload."""
        return self._answer(body, str(body.get("prompt") or ""), GENERATE)

    def chat(self, body: Mapping[str, Any]) -> Answer:
        """Answer /api/chat: messages, or none to load or unload."""
        messages = body.get("messages") or []
        return self._answer(body, "\n".join(str(each.get("content", "")) for each in messages), CHAT)

    def embed(self, body: Mapping[str, Any], *, many: bool) -> Answer:
        """Answer /api/embed and /api/embeddings."""
        model, options, stay = self._request(body, "embed", leaves=False)
        tally = Tally(self._clock.now())
        texts = body.get("input", body.get("prompt", ""))
        texts = [text for text in (texts if isinstance(texts, list) else [texts]) if text]
        if self._release.llama_server and not _embeds(model):
            with self._scheduler.use(model, options, stay):
                raise ApiError(501, _NO_EMBEDDINGS)
        with self._scheduler.use(model, options, stay) as runner:
            tally.load = self._since(tally.started)
            self._clock.sleep(sum(2 + len(str(text)) // 4 for text in texts) * seconds_per_prompt_token(runner, self._pace))
        tally.prompt_count = sum(2 + len(str(text)) // 4 for text in texts)
        if not texts:  # loads the model only
            return of_json({"model": body["model"], "embeddings": []} if many else {"embedding": []})
        if not many:
            return of_json({"embedding": list(_EMBEDDING)})
        figures = {
            key: value
            for key, value in tally.fields(self._clock.now()).items()
            if key in {"total_duration", "load_duration", "prompt_eval_count"}
        }
        return of_json({"model": body["model"], "embeddings": [list(_EMBEDDING) for _ in texts], **figures})

    def openai(self, body: Mapping[str, Any]) -> Answer:
        """Answer /v1/chat/completions without and with streaming; num_gpu cannot be sent this way (facts/ollama 3)."""
        own = {"model": body.get("model", ""), "messages": body.get("messages") or [], "stream": True, "options": {}}
        if body.get("max_tokens"):
            own["options"] = {"num_predict": body["max_tokens"]}
        lines = [json.loads(chunk) for chunk in self.chat(own).chunks]
        created, last = int(self._clock.now()), lines[-1]
        frame = {"id": "chatcmpl-391", "created": created, "model": own["model"], "system_fingerprint": "fp_ollama"}
        text = "".join(each["message"]["content"] for each in lines if "message" in each)
        if body.get("stream"):
            return Answer(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}, _events(frame, lines))
        usage = {"prompt_tokens": last.get("prompt_eval_count", 0), "completion_tokens": last.get("eval_count", 0)}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": last.get("done_reason", "stop")}
        usage["total_tokens"] = sum(usage.values())
        return of_json({**frame, "object": "chat.completion", "choices": [choice], "usage": usage}, kind="application/json")

    def _request(self, body: Mapping[str, Any], verb: str, *, leaves: bool) -> tuple[Model, Options, int | None]:
        """Read a request; one to unload is answered before the model's file is opened (server/routes.go, GenerateHandler)."""
        stay = keep_alive(body)
        given = body.get("options") or {}
        if not isinstance(given, Mapping):
            raise ApiError(
                400, "json: cannot unmarshal array into Go struct field GenerateRequest.options of type map[string]interface {}"
            )
        if self._release.checks_names and body.get("model") and not _NAME.fullmatch(str(body.get("model", ""))):
            raise ApiError(400, "invalid model name")
        model = self._catalogue.find(body.get("model", ""))
        if not leaves:
            self._readable(model, verb)
        options = merge((model.parameters, given), self._context())
        for key in options.unknown:
            self._journal.write(line(self._release.at("option"), "invalid option provided", "WARN", option=key))
        return model, options, stay

    def _readable(self, model: Model, verb: str) -> None:
        if _embeds(model) and verb != "embed":
            raise ApiError(400, f'"{model.name}" does not support {verb}')
        try:
            damage.check(model.harm, model.name, verb=verb)
        except ApiError as error:
            if "metadata" in self._release.places and model.damage in _HEADS:
                path = golang.joined(self._settings.models, "blobs", model.file.digest.replace(":", "-"))
                self._journal.write(
                    line(self._release.at("metadata"), "failed to load model metadata", model=path, error=error.text)
                )
            raise

    def _answer(self, body: Mapping[str, Any], prompt: str, shape: Shape) -> Answer:
        leaves = not prompt and keep_alive(body) == 0
        model, options, stay = self._request(body, "generate" if shape is GENERATE else "chat", leaves=leaves)
        if leaves:
            self._scheduler.leave(model.name)
            return of_json(self._end(body, shape, "unload"))
        tally = Tally(self._clock.now())
        use = self._scheduler.use(model, options, stay)
        runner = use.__enter__()
        tally.load = self._since(tally.started)
        if not prompt:
            use.__exit__(None, None, None)
            return of_json(self._end(body, shape, "load"))
        if self._scheduler.dies(runner):
            use.__exit__(None, None, None)
            self._killed(runner)
        request, self.dies_after = AnswerRequest(prompt, options.num_predict, self.dies_after), None

        def lines() -> Iterator[dict[str, Any]]:
            self.active += 1
            try:
                yield {}  # taken at once below: a generator that never started would not give the runner back
                for word in words(runner, request, tally, self._pace, self._clock):
                    yield {
                        "model": body["model"],
                        "created_at": golang.timestamp(self._clock.now()),
                        **shape.word(word),
                        "done": False,
                    }
                context = {"context": list(range(259, 259 + tally.prompt_count + tally.count))} if shape is GENERATE else {}
                yield {**self._end(body, shape, tally.reason), **context, **tally.fields(self._clock.now())}
            except RunnerDied:
                runner.dead = True
                yield {"error": _DIED}
            finally:
                self.active -= 1
                use.__exit__(None, None, None)

        made = lines()
        next(made)
        if body.get("stream") is False:
            return self._whole(list(made), shape)
        return of_lines(made)

    def _killed(self, runner: Runner) -> NoReturn:
        """Let the kernel kill a runner at its first token: /api/ps lists it until the next request (server/sched.go, needsReload)."""
        self._scheduler.kill(runner)
        error = f'Post "http://127.0.0.1:{35000 + runner.num_ctx % 9000}/completion": EOF'
        self._journal.write(line(self._release.places.get("predict", "server.go:1583"), "post predict", "ERROR", error=error))
        raise ApiError(500, _KILLED)

    def _whole(self, lines: list[dict[str, Any]], shape: Shape) -> Answer:
        if "error" in lines[-1]:
            raise ApiError(500, str(lines[-1]["error"]))
        if shape is GENERATE:
            return of_json({**lines[-1], "response": "".join(each["response"] for each in lines)})
        text = "".join(each["message"]["content"] for each in lines)
        return of_json({**lines[-1], "message": {"role": "assistant", "content": text}})

    def _end(self, body: Mapping[str, Any], shape: Shape, reason: str) -> dict[str, Any]:
        return {
            "model": body["model"],
            "created_at": golang.timestamp(self._clock.now()),
            **shape.last(),
            "done": True,
            "done_reason": reason,
        }

    def _since(self, moment: float) -> int:
        return max(1, int((self._clock.now() - moment) * golang.SECOND))


def _embeds(model: Model) -> bool:
    return model.file.shape.architecture in EMBEDDING


def _events(frame: Mapping[str, Any], lines: list[dict[str, Any]]) -> Iterator[bytes]:
    for each in lines:
        delta = {"role": "assistant", "content": each.get("message", {}).get("content", "")}
        choice = {"index": 0, "delta": delta, "finish_reason": each.get("done_reason") if each.get("done") else None}
        yield b"data: " + encode({**frame, "object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"
    yield b"data: [DONE]\n\n"
