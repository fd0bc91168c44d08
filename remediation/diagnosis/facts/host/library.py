"""Facts about the libraries that the server loads: the settings that filter them, and the folder that holds them."""

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.versions import at_least, parse_version
from remediation.model.finding import Quote

_LIBRARY = re.compile(r"^(?:cuda_v\d+|cuda_jetpack\d|vulkan|rocm(?:_v[\d.]+)?|metal\w*)$")
_FOLDER = re.compile(r"lib[\\/]+ollama\b|ollama[\\/]+lib\b", re.IGNORECASE)
_ABSENT = re.compile(
    r"(?:lib[\\/]+ollama|ollama[\\/]+lib)[^\n]{0,80}(?:does not exist|no such file|cannot find|not found)|(?:cannot (?:find|access)|no such file)[^\n]{0,60}(?:lib[\\/]+ollama)",
    re.IGNORECASE,
)
_GPU_LIBRARY = re.compile(r"ggml-(?:cuda|hip|rocm|vulkan|metal)", re.IGNORECASE)
_GPU_FOLDER = re.compile(r"cuda|rocm|hip|vulkan|metal", re.IGNORECASE)
_ONLY_CPU = re.compile(
    r"(?:only|just|nothing but|merely)[^\n.]{0,40}(?:lib)?ggml-(?:cpu|base)|(?:lib)?ggml-(?:cpu|base)\S{0,12}(?: files?| libraries)? (?:only|and nothing else|are all)",
    re.IGNORECASE,
)
_EMPTY_PACKAGE = re.compile(
    r"\bollama-(?:cuda|rocm|vulkan)\S{0,60}[\s\S]{0,120}?(?:installed size\s{0,12}:\s{0,4}0(?:[.,]0+)? |: 0 total files|\(contains no files\)|\b(?:package|it) is empty|is an empty package)",
    re.IGNORECASE,
)
_BASE_LIBRARY = re.compile(r"ggml-(?:base|cpu)", re.IGNORECASE)
_RUNNERS = re.compile(r"Dynamic LLM (?:libraries|variants)\"?(?: runners=)?\s{0,4}\"?\[([^\]\n]{1,300})\]")
_SERVER = re.compile(r"ollama version is (\d+\.\d+\.\d+)", re.IGNORECASE)
_CLIENT = re.compile(r"client version is (\d+\.\d+\.\d+)", re.IGNORECASE)
_LISTING = re.compile(r"\b(?:ls|dir|get-childitem|gci|find|tree|du)\b", re.IGNORECASE)
_NO_LIBRARY = re.compile(
    r"\b(?:lib|librar\w{1,3})\b[^\n.]{0,30}(?:folder|director\w{1,3})[^\n.]{0,40}(?:only|just|nothing but|no more than) (?:one|a single|two|a few|1|2)\b[^\n.]{0,16}(?:dlls?|files?|librar|\.so)|(?:only|just) (?:one|a single|1) (?:dll|library|\.so)(?: file)?\b[^\n.]{0,40}(?:folder|director|in lib)|(?:lib[\\/]+ollama|ollama[\\/]+lib|ollama(?:\'s)? (?:lib|folder|directory))\S{0,30}[^\n]{0,40}(?:has none|is empty|has no|lacks|contains? (?:only|no|just)[^\n]{0,40}cpu)|(?:wrong|another|different|other) (?:folder|director\w{1,3}|path|place|location) for (?:the )?(?:rocm|cuda|gpu|hip)|(?:rocm|cuda|gpu) (?:in|is in|libs? in) (?:the )?wrong (?:folder|path|place)|(?:no|without|missing|lacks?|not contain|absent)[^\n.]{0,40}(?:(?:lib)?ggml-(?:cuda|hip|vulkan)|(?:rocm|cuda(?:_v\d{1,2})?|hip|vulkan)(?:_v[\d.]{1,4})? (?:folder|director|librar|backend|runner|dll|subfolder))|(?:lib)?ggml-(?:cuda|hip)[^\n]{0,40}(?:missing|not (?:there|found|present)|absent|gone)",
    re.IGNORECASE,
)


def derive_library(sheet: FactSheet) -> None:
    """Check which libraries the server may load, and which are there."""
    reading = sheet.reading
    setting, skip = reading.setting("OLLAMA_LLM_LIBRARY"), reading.hit("library_filtered")
    on_cpu = sheet.holds("discovery.empty", "place.none")
    if setting is not None and setting.value.startswith("cpu"):
        sheet.record("library.cpu_chosen", True, f"OLLAMA_LLM_LIBRARY={setting.value} chooses the processor", setting.at)
    elif setting is not None and not _LIBRARY.match(setting.value):
        newer = at_least(reading.version, "0.12.4")
        text = f"OLLAMA_LLM_LIBRARY={setting.value} names no library directory"
        at = (
            setting.at,
            skip.at if skip else None,
            *(sheet.known["discovery.empty"].quotes if sheet.holds("discovery.empty") else ()),
        )
        if newer is False:
            sheet.record("library.ignored_name", True, f"{text} (releases before v0.12.4 ignore it)", *at)
        elif on_cpu or newer:
            sheet.record("library.filter", True, f"{text}: every GPU library is skipped", *at)
        skipped = newer or (newer is None and skip is not None)
        sheet.record(
            "library.never_looked",
            skipped or None,
            f"the container was given the GPU, and {setting.at.text} keeps the server from looking",
            setting.at,
        )
    elif setting is not None and on_cpu:
        sheet.record("library.only_one", True, f"only {setting.value} may be loaded, and it finds no device", setting.at)
    elif skip is not None and on_cpu:
        sheet.record("library.filter", True, "libraries were skipped at the user's request", skip.at, of=skip)
    device = reading.setting("LLAMA_ARG_DEVICE")
    if device is not None and device.value.lower() == "none":
        sheet.record("device.none", True, "LLAMA_ARG_DEVICE=none takes all devices away", device.at)
    # facts/ollama 2.1: from v0.12.4 on the runners' libraries look for cards
    sheet.record("release.probes_itself", at_least(reading.version, "0.12.4") is False or None)
    vulkan = reading.setting("OLLAMA_VULKAN")
    sheet.record("vulkan.on", (vulkan is not None and vulkan.value.lower() in {"1", "true"}) or None)
    sheet.record("vulkan.default", at_least(reading.version, "0.30.0"))
    cache = reading.setting("OLLAMA_KV_CACHE_TYPE")
    sheet.record(
        "cache.quantised",
        (cache is not None and cache.value.lower() not in {"", "f16", "fp16", "bf16"}) or None,
        f"the cache is quantised ({cache.value if cache else ''})",
        cache.at if cache else None,
    )
    _runners(sheet)
    _folder(sheet)


def _runners(sheet: FactSheet) -> None:
    """Check whether the program brings a library for the card's maker, and whether the server is the program that is installed."""
    text = f"{sheet.reading.log_text}\n{sheet.reading.raw}"
    listed = _RUNNERS.search(text)
    amd, nvidia = sheet.holds("card.amd"), sheet.holds("card.nvidia")
    if listed is not None and amd != nvidia:
        maker, library = ("AMD", "rocm") if amd else ("NVIDIA", "cuda")
        sentence = f"the program brings no library for {maker} cards ({listed[1].strip()})"
        sheet.record("runners.none_for_card", library not in listed[1] or None, sentence, Quote("server_log", listed[0]))
    server, client = _SERVER.search(text), _CLIENT.search(text)
    if server is not None and client is not None and at_least(parse_version(server[1]), client[1]) is False:
        sentence = f"the server that answers is {server[1]}, the installed program {client[1]}"
        sheet.record("server.older_than_client", True, sentence, Quote("ollama -v", server[0]), Quote("ollama -v", client[0]))


def _folder(sheet: FactSheet) -> None:
    """Check Ollama's library folder: absent, CPU libraries only, or without its main libraries."""
    for piece in sheet.reading.evidence.pieces:
        if piece.kind == "server_log":
            continue
        if (match := _ABSENT.search(piece.text)) is not None:
            sheet.record("folder.absent", True, "Ollama's library folder is not there", Quote(piece.label, match[0][:160]))
        if (match := _NO_LIBRARY.search(piece.text)) is not None:
            sheet.record(
                "folder.incomplete", True, "Ollama's library folder lacks the GPU backend", Quote(piece.label, match[0][:160])
            )
        if (match := _EMPTY_PACKAGE.search(piece.text)) is not None:
            sheet.record(
                "folder.incomplete",
                True,
                "the package with the GPU libraries is empty",
                Quote(piece.label, match[0][-80:].strip().splitlines()[-1]),
            )
        folder = _FOLDER.search(piece.text)
        if folder is None:
            continue
        if (match := _ONLY_CPU.search(piece.text)) is not None:
            sheet.record(
                "folder.cpu_only",
                True,
                "Ollama's library folder holds libraries for the processor alone",
                Quote(piece.label, match[0]),
            )
            continue
        sheet.record(
            "folder.complete",
            bool(_GPU_LIBRARY.search(piece.text)) or None,
            "Ollama's library folder holds the GPU backend",
            Quote(piece.label, folder[0]),
        )
        if _BASE_LIBRARY.search(piece.text) and not _GPU_FOLDER.search(piece.text):
            sheet.record(
                "folder.cpu_only",
                True,
                "Ollama's library folder holds libraries for the processor alone",
                Quote(piece.label, folder[0]),
            )
        elif (
            _LISTING.search(piece.text)
            and _GPU_FOLDER.search(piece.text)
            and not (_GPU_LIBRARY.search(piece.text) and _BASE_LIBRARY.search(piece.text))
        ):
            sheet.record(
                "folder.incomplete", True, "Ollama's library folder lacks the GPU backend", Quote(piece.label, folder[0])
            )
