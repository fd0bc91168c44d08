"""Lines that Ollama's releases print, written from the messages in facts/ollama 2: a start, a load, an answered request."""

from __future__ import annotations

from dataclasses import dataclass

VERSIONS = ("0.1.40", "0.3.14", "0.9.6", "0.12.3", "0.13.5", "0.24.0", "0.30.2")
FILE = "/models/blobs/sha256-11bef79036327e825e86ab6bb5d78408f5351bc84d962c5c50b8f9b71be2447e"
OTHER_FILE = "/models/blobs/sha256-b0afca9dec6ce0ac0ba55d9ba3d35d80f5351bc84d962c5c50b8f9b71be20000"


@dataclass(frozen=True)
class Release:
    """How one release writes."""

    version: str

    @property
    def number(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))

    def line(self, text: str, *, second: float = 0.0, level: str = "INFO", source: str = "server.go:1") -> str:
        minute, rest = divmod(second, 60)
        return f"time=2026-11-29T11:{int(minute):02d}:{rest:06.3f}Z level={level} source={source} {text}\n"

    def start(self, *, second: float = 0.0, address: str = "[::]:11434", gpu: bool = True) -> str:
        environment = '"map[CUDA_VISIBLE_DEVICES: OLLAMA_HOST:http://0.0.0.0:11434 OLLAMA_NUM_PARALLEL:1]"'
        if self.number < (0, 7, 0):
            config = f"2026/11/29 11:00:00 routes.go:1186: INFO server config env={environment}\n"
        else:
            config = self.line(f'msg="server config" env={environment}', second=second, source="routes.go:1554")
        library, name = ("cuda", "0") if self.number < (0, 12, 4) else ("CUDA", "CUDA0")
        device = f'msg="inference compute" id=GPU-1 library={library} compute=8.6 driver=12.5 name="{name}" total="6.0 GiB" available="5.8 GiB"'
        return (
            config
            + self.line(f'msg="Listening on {address} (version {self.version})"', second=second, source="routes.go:1607")
            + (self.line(device, second=second + 1, source="types.go:42") if gpu else "")
        )

    def begun(self, layers: int = 33, *, requested: int = -1, of: int = 33, file: str = FILE, second: float = 10.0) -> str:
        """Return the lines up to the layers, without the one that says that the runner answers."""
        number = self.number
        if number >= (0, 30, 0):
            asked = f" -ngl {requested}" if requested >= 0 else ""
            text = self.line(
                f'msg="starting llama-server" cmd="/usr/lib/ollama/llama-server --model {file} --port 4000 -c 4096 -np 1{asked}"',
                second=second,
                source="llama_server.go:433",
            )
            return f"{text}load_tensors: offloaded {layers}/{of} layers to GPU\n"
        runner = self.line(f'msg="starting runner" cmd="/usr/bin/ollama runner --model {file} --port 4000"', second=second)
        if number >= (0, 12, 11):
            asked_line = self.line(f'msg="loading model" "model layers"={of} requested={requested}', second=second)
            return f"{runner}{asked_line}load_tensors: offloaded {layers}/{of} layers to GPU\n"
        if number < (0, 1, 45):
            plan = f'msg="offload to gpu" layers.requested={requested} layers.real={layers} memory.available="5.8 GiB"'
        else:
            name = 'msg="offload to cuda"' if number < (0, 5, 12) else "msg=offload library=cuda"
            plan = f'{name} layers.requested={requested} layers.model={of} layers.offload={layers} memory.available="[5.8 GiB]"'
        command = self.line(
            f'msg="starting llama server" cmd="/usr/bin/ollama runner --model {file} --ctx-size 4096 --n-gpu-layers {layers} --port 4000"',
            second=second,
        )
        prefix = "llm_load_tensors" if number < (0, 5, 13) else "load_tensors"
        return f"{self.line(plan, second=second)}{runner if number >= (0, 11, 5) else command}{prefix}: offloaded {layers}/{of} layers to GPU\n"

    def ready(self, *, second: float = 12.0) -> str:
        name = "llama-server" if self.number >= (0, 30, 0) else "llama runner"
        return self.line(f'msg="{name} started in 1.50 seconds"', second=second)

    def load(self, layers: int = 33, *, requested: int = -1, of: int = 33, file: str = FILE, second: float = 10.0) -> str:
        """Return a load that succeeds."""
        return self.begun(layers, requested=requested, of=of, file=file, second=second) + self.ready(second=second + 2)

    def died(self, *, second: float = 20.0) -> str:
        """Return what the server says when the runner ends while it answers."""
        if self.number >= (0, 30, 0):
            return self.line(
                'msg="llama-server process no longer running" sys=9 string="signal: killed"', second=second, level="WARN"
            )
        error = 'error="Post \\"http://127.0.0.1:34243/completion\\": EOF"'
        return self.line(f'msg="post predict" {error}', second=second, level="ERROR", source="server.go:1583")


def post(status: int = 200, *, caller: str = "127.0.0.1", path: str = "/api/generate") -> str:
    """Return a line of the access log."""
    return f'[GIN] 2026/11/29 - 11:00:20 | {status} |  1.230456789s |       {caller} | POST     "{path}"\n'
