from __future__ import annotations

import json
import pathlib

import pytest

from remediation.diagnosis.readers.logs import read_cached, read_log, reader
from remediation.diagnosis.readers.logs.lines import plain_lines, unframe
from remediation.diagnosis.readers.logs.model import LogReading
from remediation.diagnosis.readers.logs.scan import Scanner
from remediation.diagnosis.units import GIB, MIB, parse_size
from remediation.diagnosis.versions import Generation

LOGS = pathlib.Path(__file__).parent / "fixtures" / "logs"


def text(name: str) -> str:
    return (LOGS / name).read_text()


def test_g1_gives_request_plan_estimate_and_result() -> None:
    reading = read_log(text("v0.1.33-vram.log"))
    (load,) = reading.loads
    assert reading.version == (0, 5, 11)
    assert reading.environment["OLLAMA_NUM_PARALLEL"] == "1"
    assert reading.environment["OLLAMA_ORIGINS"] == "[http://localhost https://localhost app://*]"
    assert reading.environment["OLLAMA_LLM_LIBRARY"] == ""
    assert (load.generation, load.requested, load.layers, load.planned) == (Generation.V0_1_33, -1, 33, 9)
    assert load.result == (9, 33)
    assert load.required_full == int(5.4 * GIB)
    assert (load.kv, load.graph_partial) == (512 * MIB, 305 * MIB)
    assert (load.context, load.parallel) == (4096, 1)
    assert load.seconds == 3.51
    assert load.model_gpu == int(1100.16 * MIB)
    (device,) = reading.devices
    assert (device.library, device.total, device.compute) == ("cuda", 6 * GIB, "8.6")


def test_g2_gives_request_and_assigned_layers() -> None:
    (load,) = read_log(text("v0.12.11-num-gpu.log")).loads
    assert (load.generation, load.requested, load.layers, load.assigned) == (Generation.V0_12_11, 1, 33, 1)
    assert load.result == (1, 33)
    assert load.free == (int(5.6 * GIB),)
    assert load.context == 4096


def test_g3_takes_the_last_result_and_the_fit_figures() -> None:
    (load,) = read_log(text("v0.30-fit.log")).loads
    assert (load.generation, load.requested, load.result) == (Generation.V0_30, -1, (18, 33))
    assert (load.projected, load.margin, load.short_by) == (4705 * MIB, 1024 * MIB, 2043 * MIB)
    assert load.free == (3686 * MIB,)


def test_g0_has_its_result_and_version() -> None:
    reading = read_log(text("v0.1.log"))
    assert reading.version == (0, 1, 20)
    assert reading.loads[0].result == (15, 33)
    assert reading.loads[0].model_cpu == int(2112.40 * MIB)


def test_layers_real_is_the_request_before_v0_1_38() -> None:
    line = 'time=x level=INFO source=memory.go:1 msg="offload to gpu" layers.real=1 layers.estimate=33 memory.available="5.6 GiB"'
    (load,) = read_log(line).loads
    assert (load.requested, load.planned) == (1, 33)


def test_layers_real_is_the_plan_after_it() -> None:
    line = (
        'time=x level=INFO source=memory.go:1 msg="offload to gpu" layers.requested=-1 layers.real=12 memory.available="2.2 GiB"'
    )
    (load,) = read_log(line).loads
    assert (load.requested, load.planned) == (-1, 12)


def test_ngl_in_the_command_is_the_request_of_g3() -> None:
    line = 'time=x level=INFO source=llama_server.go:1 msg="starting llama-server" cmd="/x/llama-server -c 4096 -np 1 -ngl 1"'
    assert read_log(line).loads[0].requested == 1


def test_an_empty_assignment_counts_although_no_result_line_follows() -> None:
    lines = (
        'time=x level=INFO source=server.go:1 msg="loading model" "model layers"=29 requested=0\n'
        'time=x level=INFO source=runner.go:1 msg=load request="{Operation:commit Parallel:1 KvSize:4096 GPULayers:[] UseMmap:false}"\n'
    )
    assert read_log(lines).loads[0].result == (0, 29)


def test_two_loads_and_a_restart_stay_apart() -> None:
    log = text("v0.12.11-num-gpu.log")
    reading = read_log(log + log.replace("requested=1", "requested=-1").replace("offloaded 1/33", "offloaded 33/33"))
    assert [load.result for load in reading.loads] == [(1, 33), (33, 33)]
    assert [load.requested for load in reading.loads] == [1, -1]
    assert len(reading.starts) == 2


@pytest.mark.parametrize(
    "framed",
    [
        "ollama-1  | load_tensors: offloaded 1/33 layers to GPU",
        "\x1b[36mload_tensors: offloaded 1/33 layers to GPU\x1b[0m",
        "Jan 02 10:00:00 host ollama[42]: load_tensors: offloaded 1/33 layers to GPU\r",
        "10月 14 12:47:30 gpu ollama[24746]: load_tensors: offloaded 1/33 layers to GPU",
        "2026-01-02T10:00:00.123456789Z load_tensors: offloaded 1/33 layers to GPU",
        "2026-01-02T10:00:00.123456789Z stderr F load_tensors: offloaded 1/33 layers to GPU",
        "2026-01-02 10:00:00.244 | load_tensors: offloaded 1/33 layers to GPU",
        json.dumps({"log": "load_tensors: offloaded 1/33 layers to GPU\n", "stream": "stderr", "time": "x"}),
        '{"log":"load_tensors: offloaded 1/33 layers to GPU\\n","stre',
    ],
)
def test_what_carried_a_line_is_taken_off(framed: str) -> None:
    assert unframe(framed).strip() == "load_tensors: offloaded 1/33 layers to GPU"
    assert read_log(framed).loads[0].result == (1, 33)


def test_wrapped_lines_of_the_logger_are_joined_and_indented_ones_of_llama_cpp_are_not() -> None:
    wrapped = "time=x level=INFO msg=offload\n layers.requested=1\n layers.model=33\nggml_cuda_init: found 1 CUDA devices:\n  Device 0: X\n"
    lines = [line for _, line in plain_lines(wrapped)]
    assert lines == [
        "time=x level=INFO msg=offload layers.requested=1 layers.model=33",
        "ggml_cuda_init: found 1 CUDA devices:",
        "  Device 0: X",
    ]


def test_the_header_dump_of_a_model_is_kept_for_the_memory_model() -> None:
    dump = (
        "llama_model_loader: - kv   0:                       general.architecture str              = llama\n"
        "llama_model_loader: - kv   7:                          llama.block_count u32              = 32\n"
        'llama_model_loader: - kv  22:                      tokenizer.ggml.tokens arr[str,32768]   = ["<unk>", ...\n'
        "load_tensors: offloaded 1/33 layers to GPU\n"
    )
    info = read_log(dump).loads[0].info
    assert info["llama.block_count"] == 32
    assert info["tokenizer.ggml.tokens"] == "arr[str,32768]"


def test_a_repeated_message_is_kept_a_few_times_only() -> None:
    scanner = Scanner()
    for number in range(1000):
        scanner.scan("log", number, "cudaSetDevice err: 999")
    assert 0 < len(scanner.hits) < 10


def test_reading_takes_work_linear_in_the_length() -> None:
    block = text("v0.12.11-num-gpu.log")

    def kept(times: int) -> int:
        reading = read_log(block * times)
        return len(reading.loads) + len(reading.hits) + len(reading.starts)

    assert kept(20) <= 12 * kept(2)


def test_the_loads_of_a_month_are_bounded() -> None:
    assert len(read_log(text("v0.12.11-num-gpu.log") * 600).loads) <= 400


MAPPED = """load_tensors: offloaded {0}/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =  4169.53 MiB
load_tensors:        CUDA0 model buffer size =  2500.00 MiB
"""
SIZE = "print_info: file size   = 4.07 GiB (4.84 BPW) \n"


def test_a_mapped_file_counts_once_however_much_of_it_lies_on_the_card() -> None:
    assert read_log(SIZE + MAPPED.format(20)).loads[0].buffers == parse_size("4.07 GiB")
    assert read_log(MAPPED.format(20)).loads[0].buffers == 0, "without the file's size the overlap is not known"
    whole = MAPPED.format(33).replace("4169.53", "  72.00").replace("2500.00", "4097.52")
    assert read_log(whole).loads[0].buffers == int(72 * MIB) + int(4097.52 * MIB)
    unmapped = MAPPED.format(20).replace("CPU_Mapped", "CPU")
    assert read_log(unmapped).loads[0].buffers == int(4169.53 * MIB) + 2500 * MIB


DUMP = "llama_model_loader: - kv   7:                          llama.block_count u32              = {0}\n"
REQUEST = "time=2026-03-01T10:00:01.000Z level=INFO source=server.go:522 msg=offload library=cuda layers.requested=-1 layers.model={0} layers.offload=0\n"
FAILED = 'time=2026-03-01T10:00:09.000Z level=INFO source=sched.go:453 msg="Load failed" model=/m error="llama runner process has terminated"\n'


def test_what_is_printed_after_a_load_that_failed_belongs_to_the_next_one() -> None:
    first, second = read_log(DUMP.format(16) + REQUEST.format(17) + FAILED + DUMP.format(32) + REQUEST.format(33)).loads
    assert (first.info["llama.block_count"], first.layers) == (16, 17)
    assert (second.info["llama.block_count"], second.layers) == (32, 33)


def test_the_planned_graph_decides_what_a_load_needs_and_the_allocated_one_what_it_holds() -> None:
    log = (
        'time=2026-11-23T19:57:05.000Z level=INFO source=server.go:496 msg="loading model" "model layers"=33 requested=-1\n'
        'time=2026-11-23T19:57:06.000Z level=INFO source=device.go:240 msg="model weights" device=CUDA0 size="132.5 MiB"\n'
        'time=2026-11-23T19:57:06.175Z level=INFO source=device.go:262 msg="compute graph" device=CUDA0 size="305.0 MiB"\n'
        "load_tensors: offloaded 1/33 layers to GPU\n"
        "load_tensors:        CUDA0 model buffer size =   132.50 MiB\n"
        "llama_kv_cache:      CUDA0 KV buffer size =    16.00 MiB\n"
        "llama_context:       CUDA0 compute buffer size =   116.00 MiB\n"
    )
    (load,) = read_log(log).loads
    assert (load.graph, load.allocated) == (305 * MIB, int(132.5 * MIB) + (16 + 116) * MIB)


GET = '[GIN] 2026/11/30 - 10:00:00 | 200 |      61.2µs |       127.0.0.1 | GET      "/api/ps"\n'
SHOW = '[GIN] 2026/11/30 - 10:00:00 | 200 |      12.9ms |       127.0.0.1 | POST     "/api/show"\n'
POST = '[GIN] 2026/11/30 - 10:00:00 | 200 |      61.2ms |       127.0.0.1 | POST     "/api/generate"\n'


@pytest.mark.parametrize("name", sorted(path.name for path in LOGS.glob("*.log")))
@pytest.mark.parametrize(
    "end",
    [
        "",
        GET,
        GET * 50,
        GET[:-1],
        POST + GET,
        GET + POST,
        GET + SHOW,
        GET + "\n",
        "\n" + GET,
        GET.replace("\n", "\r\n"),
        "   " + GET,
    ],
)
def test_a_log_that_grew_by_requests_is_read_as_the_whole_of_it(name: str, end: str) -> None:
    assert read_cached(text(name) + end) == read_log(text(name) + end, name="server.log")


def test_a_watched_log_that_grew_by_looks_alone_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(source: str, *, name: str, kind: str) -> LogReading:
        read.append(source)
        return read_log(source, name=name, kind=kind)

    monkeypatch.setattr(reader, "read_log", counted)
    whole = f"{text('v0.12.11-num-gpu.log')}# of this test alone\n"
    for end in (GET, GET * 2, GET * 5000, GET + SHOW + GET, GET + POST, GET + POST + GET + SHOW):
        read_cached(whole + end)
    assert read == [whole, whole + GET + POST]


def test_the_logs_of_a_whole_fleet_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(source: str, *, name: str, kind: str) -> LogReading:
        read.append(source)
        return read_log(source, name=name, kind=kind)

    monkeypatch.setattr(reader, "read_log", counted)
    for _ in range(2):
        for host in range(300):
            read_cached(f"# the log of host {host}, of this test alone\n{GET}")
    assert len(read) == 300
