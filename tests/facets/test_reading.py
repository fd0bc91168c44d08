"""What programs print, read: nvidia-smi, the GPU counters, ps and /proc, Compose, Ollama."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from remediation.connections.calls import Call, Completed, Failed, HttpReply, Reply
from remediation.connections.posix.sudo import SECURE_PATH
from remediation.facets.docker import compose, containers, engine
from remediation.facets.gpu import devices as gpu
from remediation.facets.gpu import nvidia_smi, wddm
from remediation.facets.machine import processes, rights, system
from remediation.facets.ollama import client as ollama
from remediation.facets.ollama import generate
from remediation.model.errors import Blocked, CallFailed
from remediation.model.facts import Gpu, Process
from tests.facets.prepared_connection import Answering

MIB = 1024**2
CARD = Gpu(0, "GPU-1", "NVIDIA GeForce RTX 3060", "551.86", total=6144 * MIB, used=5000 * MIB, free=1048 * MIB)
NVIDIA, OTHER = "0x00000000_0x0000C3F5", "0x00000000_0x0000B7A1"


def adapter(luid: str, dedicated: int) -> dict[str, object]:
    return {"Name": f"luid_{luid}_phys_0", "DedicatedUsage": dedicated, "SharedUsage": 0}


def row(pid: int, local: int, luid: str = NVIDIA) -> dict[str, object]:
    # committed sizes are of no use: dwm's leak after sleep
    return {
        "Name": f"pid_{pid}_luid_{luid}_phys_0",
        "LocalUsage": local,
        "NonLocalUsage": 0,
        "DedicatedUsage": 14 * 1024 * MIB,
        "SharedUsage": 0,
    }


ADAPTERS = [adapter(OTHER, 82 * MIB), adapter(NVIDIA, 4990 * MIB)]


def test_a_card_is_read_and_a_missing_value_is_none() -> None:
    fields = (
        "index",
        "uuid",
        "name",
        "driver_version",
        "memory.total",
        "memory.used",
        "memory.free",
        "memory.reserved",
        "utilization.gpu",
        "compute_cap",
    )
    text = "0, GPU-1, NVIDIA GeForce RTX 3060, 551.86, 6144, 400, 5648, 96, [N/A], 8.6\r\n1, GPU-2, Quadro, 551.86, [Unknown Error], 1, 1, 1, 1, 1\r\n"
    card, other = nvidia_smi.gpus(text, fields)
    assert (other.total, other.used, "memory.total" in other.problem) == (None, MIB, True)
    assert (card.total, card.used, card.free, card.reserved) == (6144 * MIB, 400 * MIB, 5648 * MIB, 96 * MIB)
    assert (card.utilization, card.compute_capability, card.driver_model) == (None, "8.6", None)


def test_an_application_whose_name_has_commas_and_whose_memory_is_unknown() -> None:
    text = "GPU-1, 4312, [N/A], C:\\Program Files\\a, b\\c.exe\nGPU-1, 77, 512, /usr/bin/python3\nno such row\n"
    assert nvidia_smi.apps(text) == (
        nvidia_smi.App(4312, "C:\\Program Files\\a, b\\c.exe", None),
        nvidia_smi.App(77, "/usr/bin/python3", 512 * MIB),
    )


@pytest.mark.parametrize(("rc", "word"), [(9, "not loaded"), (15, "fallen off the bus"), (77, "exited with 77")])
def test_an_exit_code_has_its_meaning(rc: int, word: str) -> None:
    assert word in gpu.failed_nvidia_smi(rc, "", "h").message
    assert gpu.failed_nvidia_smi(rc, "GPU is lost", "h").status == rc
    assert "GPU is lost" in gpu.failed_nvidia_smi(rc, "GPU is lost", "h").message


def test_resident_memory_is_counted_on_the_nvidia_card_alone() -> None:
    seen = wddm.residents(
        [row(1, 2000 * MIB), row(1, 41 * MIB, OTHER), row(2, 300 * MIB), row(2, 200 * MIB)], ADAPTERS, [CARD], None
    )
    assert (seen.by_pid, seen.reliable) == ({1: 2000 * MIB, 2: 500 * MIB}, True)


@pytest.mark.parametrize(
    ("rows", "adapters", "error", "word"),
    [
        ([row(1, 9000 * MIB)], ADAPTERS, None, "9000 MiB"),
        ([row(1, 100 * MIB)], ADAPTERS, "Invalid class", "Invalid class"),
        ([row(1, 100 * MIB)], [], None, "no adapter"),
    ],
)
def test_amounts_that_cannot_be_believed_are_unknown_and_never_0(
    rows: list[dict[str, object]], adapters: list[dict[str, object]], error: str | None, word: str
) -> None:
    seen = wddm.residents(rows, adapters, [CARD], error)
    assert (dict(seen.by_pid), seen.reliable) == ({}, False)
    assert word in seen.why
    value = {"rc": 0, "stdout": "0, GPU-1, X, 551.86, 6144, 5000, 1048\n", "stderr": "", "fields": list(nvidia_smi.FALLBACK[:-1]),
             "process_memory": rows, "adapter_memory": adapters, "counters_error": error}  # fmt: skip
    use = gpu.use_from_probe(value, (Process(1, "chrome.exe", 5.0),), "h")
    assert (use.processes, use.reliable, use.free) == ((), False, 1048 * MIB)


def test_a_probe_without_nvidia_smi_says_what_to_install() -> None:
    value = {
        "rc": None,
        "stdout": "",
        "stderr": "",
        "fields": [],
        "process_memory": [],
        "adapter_memory": [],
        "counters_error": None,
    }
    with pytest.raises(CallFailed, match="nvidia-smi is not installed") as raised:
        gpu.use_from_probe(value, (), "h")
    assert "driver" in raised.value.next_step


def test_a_program_that_sudo_does_not_find_is_not_called_missing() -> None:
    class Behind(Answering):
        def exchange(self, calls: Sequence[Call]) -> list[Reply]:
            return [Failed("not-found", f"nvidia-smi is not on {SECURE_PATH}", "nvidia-smi") for _ in calls]

    with pytest.raises(CallFailed, match="secure_path in sudoers") as raised:
        gpu.PosixGpu(Behind().look()).use()
    assert raised.value.next_step == "add the folder of nvidia-smi to secure_path (sudo visudo)"


def test_an_answer_without_a_card_is_an_error_with_the_words_of_nvidia_smi() -> None:
    text = "No devices were found\r\n"
    fields = ("index", "uuid", "name", "driver_version", "memory.total", "memory.used", "memory.free")
    value = {
        "rc": 0,
        "stdout": text,
        "stderr": "",
        "fields": list(fields),
        "process_memory": [],
        "adapter_memory": [],
        "counters_error": None,
    }
    with pytest.raises(CallFailed, match="it lists no card") as raised:
        gpu.use_from_probe(value, (), "h")
    assert raised.value.output == text.strip()


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("Access denied (0x80041003)", True), ("Zugriff verweigert (0x80041003)", True), ("Zugriff verweigert (0x80070005)", True),
        ("Access is denied. ", True), ("Invalid class (0x80041010)", False), ("", False),
    ],
)  # fmt: skip
def test_a_refusal_is_recognized_by_its_code_in_any_language(text: str, refused: bool) -> None:
    assert rights.is_refusal(text) is refused


def test_contexts_whose_memory_contradicts_the_card_are_not_believed() -> None:
    use = gpu.use_from_apps(
        (CARD,), (nvidia_smi.App(7, "/usr/bin/a", 3000 * MIB), nvidia_smi.App(8, "/usr/bin/b", 2900 * MIB)), ()
    )
    assert [each.vram for each in use.processes] == [None, None]
    assert (use.reliable, "5900 MiB" in use.why_unreliable) == (False, True)
    assert [each.name for each in use.processes] == ["a", "b"]


SHELL = """\
hz 100
btime 1700000000
ps       1       0 root /sbin/init splash
ps     900       1 ana /opt/google/chrome/chrome --type=renderer --x y
ps     901       1 ana [gone]
ps     902       1 ana defunct
stat 1 (systemd) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 25 1 1 1
stat 900 (a (odd) name-tha) S 1 900 900 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 123456 1 1 1
stat 902 (zombie) Z 1 902 902 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 9 1 1 1
exe 900 /opt/a (odd) name-that-is-long (deleted)
"""


def test_processes_of_linux_have_start_times_and_whole_names() -> None:
    init, odd = processes.processes_from_shell(SHELL)
    assert (init.name, init.started, init.owner, init.parent, init.path) == ("systemd", 1700000000.25, "root", 0, None)
    assert (odd.name, odd.started, odd.owner) == ("a (odd) name-that-is-long", 1700001234.56, "ana")
    assert odd.path == "/opt/a (odd) name-that-is-long"
    assert odd.session_id is None  # programs of ``docker exec`` are in Linux session 0, which on Windows is that of services


@pytest.mark.parametrize("refused", [True, False])
def test_a_list_of_processes_that_is_refused_is_an_error_and_one_of_an_older_probe_is_read(refused: bool) -> None:
    row = {"ProcessId": 4, "Name": "a.exe", "CreationDate": None, "ParentProcessId": 0, "SessionId": 0}
    value = {"Processes": [], "Problems": {"Processes": "Access denied"}} if refused else [row]
    reader = processes.WindowsProcesses(Answering(platform="windows", probes={"processes": value}).look())
    if refused:
        with pytest.raises(CallFailed, match="listing the processes failed: Access denied"):
            reader.list()
    else:
        assert [each.pid for each in reader.list()] == [4]


def test_a_root_at_a_desktop_is_taken_to_have_a_window() -> None:
    def one(pid: int, parent: int, session: int, **more: object) -> dict[str, object]:
        return {
            "ProcessId": pid,
            "ParentProcessId": parent,
            "Name": "chrome.exe",
            "SessionId": session,
            "CreationDate": float(pid),
            **more,
        }

    found = processes.from_rows([one(1, 0, 1), one(2, 1, 1), one(3, 9, 0), one(4, 9, 1, Service="x"), one(5, 6, 1), one(6, 0, 1)])
    # 5 names 6 as its parent, but 6 started later: the PID was reused
    assert [each.pid for each in found if each.has_window] == [1, 5, 6]


@pytest.mark.parametrize(
    ("value", "words", "step"),
    [
        ({"ended": False, "how": "still-there", "asked": 0, "task_result": 0x800710E0}, "no user is logged on", "log on"),
        ({"ended": False, "how": "still-there", "asked": 0, "task_result": -0x7FF8FFFB}, "may not start programs", "elevated"),
        ({"ended": False, "how": "own", "asked": 0, "task_result": None}, "own program", "remove it"),
    ],
)
def test_a_window_that_could_not_be_reached_is_blocked_with_the_reason(value: dict[str, object], words: str, step: str) -> None:
    look = Answering(platform="windows", probes={"close": value}).look(changing=True)
    with pytest.raises(Blocked, match=words) as raised:
        processes.WindowsProcessWriter(look).close(4, 1.0, grace=0)
    assert step in raised.value.next_step


@pytest.mark.parametrize(("task", "ended"), [(None, True), (0, False), (267014, False)])
def test_a_close_request_returns_whether_the_program_ended(task: int | None, ended: bool) -> None:
    value = {"ended": ended, "how": "polite" if ended else "still-there", "asked": 1, "task_result": task}
    look = Answering(platform="windows", probes={"close": value}).look(changing=True)
    assert processes.WindowsProcessWriter(look).close(4, 1.0, grace=0) is ended


def test_a_system_that_is_neither_windows_nor_linux_is_refused() -> None:
    with pytest.raises(CallFailed, match="Darwin is not supported"):
        system.system_from_shell("kernel Darwin\nhost mac\n", "h")


def test_log_lines_are_merged_by_time_although_the_engine_drops_zeros() -> None:
    out = b"2026-11-24T10:00:00.5Z second\n2026-11-24T10:00:02Z fourth\n"
    err = b"2026-11-24T10:00:00.123456789Z first\n2026-11-24T10:00:01.5Z third\n"
    assert engine.merge_records(out, err) == "first\nsecond\nthird\nfourth\n"


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "start Docker"),
        ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock", "group docker"),
        ("error during connect: open //./pipe/dockerDesktopLinuxEngine: Access is denied.", "administrator"),
        ("error getting credentials - err: exit status 1, out: `A specified logon session does not exist.`", "at the desktop"),
    ],
)
def test_what_to_do_about_an_engine_comes_from_its_words(said: str, word: str) -> None:
    assert word in engine.engine_advice(said)
    assert word in compose.advice_on(said)


WARNINGS = (
    'time="2026-11-24T10:00:00Z" level=warning msg="The \\"OLLAMA_MODEL\\" variable is not set. Defaulting to a blank string."\n'
    'time="2026-11-24T10:00:00Z" level=warning msg="The \\"OLLAMA_MODEL\\" variable is not set. Defaulting to a blank string."\n'
    'time="2026-11-24T10:00:00Z" level=warning msg="/x.yml: the attribute `version` is obsolete"\n'
)


def test_warnings_are_read_once() -> None:
    found = compose.warnings_in(f" Container a  Started\n{WARNINGS}")
    assert found == (
        'The "OLLAMA_MODEL" variable is not set. Defaulting to a blank string.',
        "/x.yml: the attribute `version` is obsolete",
    )


def test_a_complaint_is_composes_own_words_without_its_progress() -> None:
    stderr = f"{WARNINGS} Container a  Recreate\n Container a  Recreated\nError response from daemon: no such image: x\n"
    assert compose.error_message(Completed(1, b"", stderr.encode())) == "Error response from daemon: no such image: x"


@pytest.mark.parametrize(
    "host",
    [
        {"DeviceRequests": [{"Driver": "", "Capabilities": [["gpu"]]}]},
        {"DeviceRequests": [{"Driver": "nvidia", "Capabilities": None}]},
        {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]},
        {"Runtime": "nvidia"},
        {"Devices": [{"PathOnHost": "/dev/nvidia0"}]},
    ],
)
def test_each_way_to_ask_for_a_gpu_counts(host: dict[str, object]) -> None:
    assert containers.wants_gpu(host)


def test_no_request_is_no_gpu() -> None:
    assert not containers.wants_gpu({"DeviceRequests": None, "Runtime": "runc", "Devices": []})


def test_parameters_are_read_from_their_columns() -> None:
    text = (
        'num_gpu                        1\nstop                           "[INST]"\nnum_ctx                        1.048576e+06\n'
    )
    assert ollama.model_parameters(text) == {"num_gpu": "1", "stop": '"[INST]"', "num_ctx": "1.048576e+06"}


def test_the_same_model_by_two_names() -> None:
    assert ollama.same_name("mistral:latest", "mistral")
    assert ollama.same_name("mistral", "mistral:latest")
    assert not ollama.same_name("mistral:7b", "mistral")


def streamed(*lines: object, status: int = 200) -> HttpReply:
    return HttpReply(status, "".join(f"{json.dumps(line)}\n" for line in lines).encode(), 2.0, 0.5)


def test_the_figures_come_from_the_servers_own_durations() -> None:
    last = {
        "done": True,
        "done_reason": "length",
        "eval_count": 8,
        "eval_duration": 2_000_000_000,
        "total_duration": 3_000_000_000,
    }
    seen = generate.figures(streamed({"response": "a"}, last), "h", [10, 20], [90])
    assert (seen.tokens, seen.eval, seen.total, seen.load, seen.first_token) == (8, 2.0, 3.0, 0.0, 0.5)
    assert (seen.gpu_percent, seen.cpu_percent) == (15.0, 90.0)
    assert generate.figures(streamed(last), "h").gpu_percent is None


def test_an_answer_that_breaks_off_has_the_figures_of_its_tokens() -> None:
    """Ollama ends an answer that repeats one token more than 30 times without a last line."""
    seen = generate.figures(streamed(*({"response": "w"} for _ in range(31))), "h", [10, 20], [90])
    assert (seen.tokens, seen.eval, seen.first_token, seen.done_reason) == (31, 1.5 / 30 * 31, 0.5, generate.CUT_OFF)
    assert (seen.gpu_percent, seen.cpu_percent) == (15.0, 90.0)


def test_an_answer_without_a_token_or_with_an_error_is_no_figure() -> None:
    with pytest.raises(CallFailed, match=r"broke off after 1 line$"):
        generate.figures(streamed({"response": ""}), "h")
    with pytest.raises(CallFailed, match="out of memory"):
        generate.figures(streamed({"response": "a"}, {"error": "CUDA error: out of memory"}), "h")
    with pytest.raises(CallFailed, match="HTTP 502"):
        generate.figures(HttpReply(502, b"<html>"), "h")


def test_loads_that_were_gathered_in_the_background() -> None:
    text = (
        "cpu 0 0 0 100 0 0 0 0 0 0\ngpu 10\ngpu 50\ncpu 50 0 0 150 0 0 0 0 0 0\ngpu 30\ngpu [N/A]\ncpu 150 0 0 150 0 0 0 0 0 0\n"
    )
    assert generate.parse_loads(text) == ([50.0, 30.0], [50.0, 100.0])
    assert generate.parse_loads("") == ([], [])


def test_the_share_of_the_cpu_needs_two_readings_that_differ() -> None:
    assert generate.cpu_share((100, 1000), (150, 1200)) == 75.0
    assert generate.cpu_share((100, 1000), (100, 1000)) is None
    assert generate.cpu_share(None, (1, 2)) is None
