"""Which parts of a log still hold: the last server process, the last load of the model in question, and what no later line contradicts.

A log survives restarts and repairs. A live host is judged by its last server process and the last load of the model in
question. A pasted text describes a fault, so its first load that is short counts, unless a later one of the same model put
all layers on the GPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.readers.logs import Load, LogReading, Request
from remediation.diagnosis.readers.logs.scan import SEEN, Hit
from remediation.diagnosis.units import GIB, parse_size
from remediation.diagnosis.versions import parse_version
from remediation.facets.ollama.client import same_name
from remediation.model.text.timestamps import parse_timestamp

# messages before or during a load, which hold for that load alone
_OF_A_LOAD = frozenset(
    {"existing_models", "evicting", "vram_not_recovered", "too_little_vram", "layers_set_by_user", "layout_failed", "fit_failed", "ram_refused"}
)  # fmt: skip
# how a load or a runner ended; a later load of the same model that runs shows that it is over
_ENDS = frozenset(
    {"gpu_oom", "runner_terminated", "runner_died", "segfault", "signalled", "exit_137", "killed", "ram_allocation", "load_timeout", "client_gone",
     "unknown_architecture"}
)  # fmt: skip
# messages about the card, at discovery or during a load; a later load that puts layers on it shows that it works
_OF_THE_CARD = frozenset({"bus_error", "cuda_code", "cuda_name", "cuda_text"})
# about the card or its driver; a later start of the server that keeps the card shows that it answers again
_OF_THE_DEVICE = _OF_THE_CARD | {
    "xid", "gpu_lost", "adapter_init", "nvml_unknown", "nvml_mismatch", "nvml_code", "smi_no_driver", "smi_no_devices", "device_context", "uvm_node", "nvml_broken",
    "cli_not_loaded", "old_driver", "no_nvidia_devices", "gsp", "rpc_timeout", "backend_failed", "no_gpu",
}  # fmt: skip
# about a model's file; a later load that reached its layers shows that the file is readable
STORE = frozenset(
    {"digest_mismatch", "truncated", "bad_magic", "unexpected_eof", "bad_manifest", "blob_missing", "blob_unreadable", "blob_denied", "no_generate", "unloadable",
     "metadata_failed", "gguf_panic", "gguf_invalid", "tensor_read", "disk_error", "data_invalid", "not_found"}
)  # fmt: skip
# messages that ``/api/show`` with the model's metadata disproves: the server has just read the file's header
_HEADER = frozenset(
    {
        "bad_magic",
        "blob_missing",
        "blob_unreadable",
        "blob_denied",
        "metadata_failed",
        "gguf_panic",
        "gguf_invalid",
        "bad_manifest",
        "not_found",
    }
)
# messages that end the server itself; the log of the next process does not repeat them
_FATAL = frozenset({"gguf_panic", "killed"})
_APART = 60.0
"""Seconds by which a log's last line has to be older than the server; clocks and buffers differ by less."""
_AVAILABLE = re.compile(r' available="([\d.]{1,8} [KMG]iB)"')
_ADDRESS = re.compile(r"\b(?:PCI:|pci_id=)\"?[0-9a-f]{4,8}:([0-9a-f]{2}:[0-9a-f]{2})", re.IGNORECASE)
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")
_FROM = re.compile(r"^FROM \S{1,400}", re.MULTILINE)
_DIGEST = re.compile(r"sha256[-:]([0-9a-f]{12})")


_SEEN_LOAD = ("fit.", "load.no_layer", "load.model_evicted", "other-ollama-model-resident")
_SEEN_ENDS = (
    "load.",
    "runner.",
    "generate.",
    "host-ram-oom",
    "container-memory-limit-oom",
    "card-memory-ran-out",
    "runner-",
    "num-gpu-",
    "compute-graph",
    "context-beyond",
)
_SEEN_CARD = ("uvm-lost", "gpu.driver_error", "gpu.backend", "driver-does", "cgroup-device")
_SEEN_DEVICE = ("card-fell-off", "one-card-failed", "driver.", "driver-", "gsp-", "gpu.lost", "nvml.")
_SEEN_STORE = ("model.", "gguf-", "digest-", "architecture-", "store-")


def _class_of(key: str) -> frozenset[str] | None:
    """Return the class of a message's key; the class of a catalogue message follows from what it means."""
    classes = ((_OF_A_LOAD, _SEEN_LOAD), (_ENDS, _SEEN_ENDS), (_OF_THE_CARD, _SEEN_CARD), (STORE, _SEEN_STORE))
    means = key.removeprefix(SEEN)
    return next((keys for keys, seen in classes if (means.startswith(seen) if key.startswith(SEEN) else key in keys)), None)


def _is_of_device(key: str) -> bool:
    """Whether a message is about the card or its driver."""
    means = key.removeprefix(SEEN)
    return means.startswith((*_SEEN_CARD, *_SEEN_DEVICE)) if key.startswith(SEEN) else key in _OF_THE_DEVICE


def is_live(evidence: Evidence) -> bool:
    """Whether a host was looked at, rather than a text read."""
    return evidence.runners is not None or evidence.collected_at is not None


def blob_in(text: str) -> str:
    """Return the beginning of the digest that a path or a message names, "" where there is none."""
    match = _DIGEST.search(text)
    return match[1] if match else ""


def model_blob(evidence: Evidence) -> str:
    """Return the beginning of the digest of the model in question, "" where it is not known."""
    for show in evidence.shows:
        if (evidence.model is None or same_name(show.model, evidence.model)) and (blob := blob_in(show.modelfile)):
            return blob
    if evidence.model is not None and not is_live(evidence):
        froms = (_FROM.search(piece.text) for piece in evidence.pieces if piece.kind == "modelfile")
        return next((blob_in(match[0]) for match in froms if match is not None), "")
    return ""


def other_blobs(evidence: Evidence) -> frozenset[str]:
    """Return the beginnings of the digests that are known to be of other models than the one in question."""
    model = evidence.model
    others = (show for show in evidence.shows if model is not None and not same_name(show.model, model))
    return frozenset(blob for show in others if (blob := blob_in(show.modelfile))) - {model_blob(evidence)}


def is_absent(evidence: Evidence) -> bool:
    """Whether the model in question is neither stored nor loaded on a host that lists its models: no load of its log is of this model."""
    model = evidence.model
    if model is None or evidence.models is None or evidence.runners is None:
        return False
    names = [*(entry.name for entry in evidence.models), *(runner.model for runner in evidence.runners)]
    return not any(same_name(name, model) for name in names)


def another_server(log: LogReading, evidence: Evidence) -> str:
    """Return how a log shows that it is of another server than the one that answers, else ""."""
    answers = parse_version(evidence.ollama_version)
    if log.version is not None and answers is not None and any(answers) and any(log.version) and log.version != answers:
        wrote = ".".join(map(str, log.version))
        return f"the log is of another server: release {wrote} wrote it, and {evidence.ollama_version} answers"
    begun = [one.started for one in evidence.programs or () if one.program == "ollama" and not one.runner]
    ended = parse_timestamp(log.time) if _ZONE.search(log.time) else None
    if begun and ended is not None and ended < min(begun) - _APART:
        return "the log is of an earlier server: it ends before the one that answers was started"
    return ""


@dataclass(frozen=True, slots=True)
class Present:
    """Judges one log. ``short`` says that a list of loaded models shows one that is not wholly on the GPU, ``whole`` the opposite of the model in question.

    ``absent`` says that the server does not store the model in question, ``others`` names the files of other models.
    """

    log: LogReading
    live: bool
    blob: str = ""
    short: bool = False
    whole: bool = False
    readable: bool = False
    absent: bool = False
    others: frozenset[str] = frozenset()

    def load(self) -> Load | None:
        """Return the load that the incident is about."""
        loads = [load for load in self.log.loads if self._may_be_of_model(load)]
        results = [load for load in loads if load.result is not None]
        if not self.live:
            short = next((load for load in results if load.short), None)
            if short is not None:
                return self._better(short, results) or short
            return results[-1] if results else (loads[-1] if loads else None)
        begun = [load for load in loads if load.result is not None or _has_started(load)]
        last = begun[-1] if begun else (loads[-1] if loads else None)
        # what is listed as whole was loaded otherwise than a line about few layers says
        return None if last is not None and last.short and self.whole else last

    def _may_be_of_model(self, load: Load) -> bool:
        if self.absent or (self.live and load.server != self.log.server):
            return False
        named = blob_in(load.model)
        return named not in self.others and (not (self.blob and named) or named == self.blob)

    def _better(self, short: Load, results: Sequence[Load]) -> Load | None:
        """Return the last load of the same model if it put all layers on the GPU without a request and no list contradicts it."""
        last = [load for load in results if load.number >= short.number and load.same_model(short)][-1]
        automatic = last.requested in {None, -1} and (last.started_at is not None or last.requested == -1)
        return last if last.whole and automatic and last.failed_at is None and not self.short else None

    def hits(self, shown: Load | None) -> tuple[Hit, ...]:
        """Return the messages that still hold; `shown` is the load that the incident is about."""
        own = shown if shown in self.log.loads else None
        first = self._first_server(own)
        return tuple(hit for hit in self.log.hits if self._holds(hit, own, first))

    def requests(self, shown: Load | None) -> tuple[Request, ...]:
        """Return the answered requests of the server process in question."""
        first = self._first_server(shown if shown in self.log.loads else None)
        return tuple(one for one in self.log.requests if one.server >= first)

    def _first_server(self, shown: Load | None) -> int:
        """Return the first server process that counts."""
        if self.live:
            return self.log.server
        telling = [load.server for load in self.log.loads] + [one.server for one in self.log.requests]
        last = self.log.server if self.log.devices else max(telling, default=0)
        last = min(last, shown.server) if shown is not None else last
        # lines before the first start may come from any program, unless a server loaded something there
        return last if last > 1 or 0 in telling else 0

    def _holds(self, hit: Hit, shown: Load | None, first: int) -> bool:
        if hit.server < first:
            return hit.key in _FATAL and hit.server == self._before(first) and not self._has_loaded_since(first)
        if (
            hit.server < self.log.server
            and self.log.keeps_card
            and _is_of_device(hit.key)
            and not _of_another_card(hit, self.log)
        ):
            return False
        of = _class_of(hit.key)
        if self.live and of is not None and of is not _OF_THE_CARD and self._of_another_model(hit):
            return False
        if of is _OF_A_LOAD:
            owner = self._owner(hit)
            return not _gone_since(hit, shown) and (
                shown is None or owner is shown or (owner is None and shown.result is None)
            )  # of a load that is not in the text
        if of is _ENDS:
            return self._not_over(hit, shown)
        if of is _OF_THE_CARD:
            return not any(
                load.number > hit.load and self._runs(load) and load.offloaded and load.offloaded[0] for load in self.log.loads
            )
        return of is not STORE or self._unreadable(hit)

    def _of_another_model(self, hit: Hit) -> bool:
        its = next((load for load in self.log.loads if load.number == hit.load and not hit.after), None)
        return self.absent or (its is not None and its.server == self.log.server and not self._may_be_of_model(its))

    def _before(self, server: int) -> int:
        return max((hit.server for hit in self.log.hits if hit.server < server), default=-1)

    def _has_loaded_since(self, server: int) -> bool:
        return any(load.server >= server and load.result is not None for load in self.log.loads)

    def _owner(self, hit: Hit) -> Load | None:
        """Return the load that a message belongs to: the one under way, else the next."""
        number = hit.load + 1 if hit.after else hit.load
        return next((load for load in self.log.loads if load.number >= number and (_has_started(load) or load.result)), None)

    def _not_over(self, hit: Hit, shown: Load | None) -> bool:
        its = next((load for load in self.log.loads if load.number == hit.load), None)
        later = [load for load in self.log.loads if load.number > hit.load and load.server >= hit.server]
        if self.live and shown is not None:
            return hit.load >= shown.number and (its is None or its.same_model(shown))
        return not any(self._runs(load) and (its is None or load.same_model(its)) for load in later)

    def _runs(self, load: Load) -> bool:
        """Whether a load was completed, and its runner has not died since."""
        died = any(hit.load == load.number and hit.key in {"runner_died", "runner_terminated", "killed"} for hit in self.log.hits)
        return load.started_at is not None and load.failed_at is None and not died

    def _unreadable(self, hit: Hit) -> bool:
        if self.readable and (hit.key in _HEADER or hit.key.startswith(SEEN)):
            return False
        named = blob_in(hit.at.text)
        its = next((load for load in self.log.loads if load.number == hit.load and not hit.after), None)
        for load in self.log.loads:
            later = load.number > hit.load or (load.number == hit.load and not hit.after and load.started_at is not None)
            read = load.failed_at is None and (load.started_at is not None or load.offloaded is not None)
            other = bool(named and blob_in(load.model) and named != blob_in(load.model))
            if later and read and not other and (its is None or load.same_model(its)) and self._may_be_of_model(load):
                return False
        return not (self.whole and not named)


def _has_started(load: Load) -> bool:
    """Whether a line says that a load began; stray lines of a runner open one as well."""
    return any((load.requested_at, load.planned_at, load.command_at, load.failed_at))


def _of_another_card(hit: Hit, log: LogReading) -> bool:
    """Whether a message names a card by its address, and none that the server kept has it: that one is still away."""
    named = _ADDRESS.search(hit.at.text)
    kept = {match[1].lower() for device in log.devices if (match := _ADDRESS.search(device.at.text))}
    return named is not None and bool(kept) and named[1].lower() not in kept


def _gone_since(hit: Hit, load: Load | None) -> bool:
    """Whether more is free at the load itself than the message about resident models says: they were unloaded in between."""
    match = _AVAILABLE.search(hit.at.text) if "existing loaded models" in hit.at.text else None
    left = parse_size(match[1]) if match is not None else None
    return left is not None and load is not None and bool(load.free) and min(load.free) > left + GIB
