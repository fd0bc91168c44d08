"""Everything that one incident's evidence says, read once: what the causes judge."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.readers.codes import CudaCode, read_codes
from remediation.diagnosis.readers.logs import Device, Load, LogReading, Request, read_cached, read_log
from remediation.diagnosis.readers.logs.lines import rejoin_fields
from remediation.diagnosis.readers.logs.scan import Hit
from remediation.diagnosis.readers.present import Present, another_server, is_absent, is_live, model_blob, other_blobs
from remediation.diagnosis.readers.texts.containers import server_part
from remediation.diagnosis.readers.texts.docker import DockerReading, read_docker, read_inspect
from remediation.diagnosis.readers.texts.gpus import GpuText, card_size, read_gpu
from remediation.diagnosis.readers.texts.languages import in_english
from remediation.diagnosis.readers.texts.ps import PsRow, read_ps, row_of
from remediation.diagnosis.readers.texts.requested_options import (
    Body,
    DeclaredSetting,
    RequestedOption,
    read_bodies,
    read_requested_options,
    read_settings,
)
from remediation.diagnosis.readers.texts.smi import GpuProcess, SmiReading, read_smi
from remediation.diagnosis.readers.texts.speed import Speed, read_speed
from remediation.diagnosis.readers.texts.tables import MachineMemory, is_free_head, read_card_table, read_memory
from remediation.diagnosis.units import human
from remediation.diagnosis.untrusted import bound_line_lengths
from remediation.diagnosis.versions import Version, parse_version
from remediation.facets.ollama.client import same_name
from remediation.model.facts import Gpu
from remediation.model.finding import Quote

# the readers of small texts go over a piece more than once; a log of this size is read by the log reader alone
_SMALL = 4_000_000
_WRITTEN = 100_000
"""Characters at the beginning and at the end of a text in which people's own words are read. What lies between is output."""
_OF_CONTAINERS = frozenset({"docker_compose", "docker_inspect"})
_DENIED = re.compile(
    r"(?:\bno|without|lacks?|not have|n't have)(?: an?| any)? (?:dedicated |discrete |supported )?(?:nvidia|amd|geforce|radeon)\b[^.,;\n]{0,20}",
    re.IGNORECASE,
)
"""Reports of a missing card."""
_PAST = re.compile(
    r"\b(?:i|we) (?:have |then )?(?:fixed|repaired|solved|resolved|cured) (?:it|that|this|the)\b(?! (?:by|with|for) (?:a |an )?(?:restart|hour|day|while|reboot))"
    r"|\bsince then\b[^\n.;]{0,40}\b(?:works?|fine|runs?|ok)\b"
    r"|\b(?:this|that|these|it) (?:was|were) (?:before|until) (?:i|we|the)\b"
    r"|\b(?:this|that|it) (?:was|is|comes from|belongs to) (?:of |in |on |from )?(?:another|a different|an older|the old|the other) (?:image|container|machine|host|server|card|model|project)\b"
    r"|\b(?:card|gpu|disk|memory|module)\b[^\n.;]{0,24}\bwas (?:taken out|removed|replaced|exchanged|swapped)\b",
    re.IGNORECASE,
)
"""Statements that a quoted message no longer holds, or never was about this server."""
_CONTAINER = re.compile(r"docker|podman|container|compose|kubectl|\bpod\b|kubernetes|unraid|\blxc\b", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """The parsed evidence. Everything is in the order of the pieces; nothing here judges."""

    evidence: Evidence
    logs: tuple[LogReading, ...]
    ps: tuple[PsRow, ...] = ()
    smi: tuple[SmiReading, ...] = ()
    requested_options: tuple[RequestedOption, ...] = ()
    declared: tuple[DeclaredSetting, ...] = ()
    docker: tuple[DockerReading, ...] = ()
    gpu: GpuText = field(default_factory=GpuText)
    speeds: tuple[Speed, ...] = ()
    bodies: tuple[Body, ...] = ()
    memory: tuple[MachineMemory, ...] = ()
    foreign: str = ""
    """How the server's log shows that it is of another server, where it does; ``logs`` has no such log."""

    @cached_property
    def hits(self) -> tuple[Hit, ...]:
        """All known messages that still hold."""
        found = tuple(hit for one in self.presents for hit in one.hits(self.shown))
        if not self.repaired:
            return found
        logs = {log.name for log in self.logs if log.kind == "server_log"}
        return tuple(hit for hit in found if hit.at.where.rpartition(":")[0] in logs)

    @cached_property
    def repaired(self) -> bool:
        """Whether people say that what they quote is past or of something else, and the server's log shows the card at work."""
        works = any(log.works for log in self.logs if log.kind == "server_log")
        return works and _PAST.search(self.prose) is not None

    def hit(self, *keys: str) -> Hit | None:
        """Return the first message of one of these kinds."""
        return next((hit for hit in self.hits if hit.key in keys), None)

    @cached_property
    def codes(self) -> tuple[CudaCode, ...]:
        """CUDA's error codes from messages in any format."""
        return read_codes(self.hits)

    @cached_property
    def version(self) -> Version | None:
        """Ollama's release: what the server printed, else what was reported."""
        printed = next((log.version for log in reversed(self.logs) if log.version), None)
        return printed or parse_version(self.evidence.ollama_version)

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The settings as the server printed them; empty when no log shows them."""
        if self.evidence.environment and not self.foreign:
            return self.evidence.environment
        return next((log.environment for log in reversed(self.logs) if log.environment), {})

    def setting(self, name: str) -> DeclaredSetting | None:
        """Return a setting that is not empty: as the server read it, else as declared."""
        if name in self.environment:
            value = self.environment[name]
            start = next((s for log in reversed(self.logs) for s in reversed(log.starts) if name in s.environment), None)
            where = start.at.where if start else "environment of the server"
            return DeclaredSetting(name, value, Quote(where, f"{name}:{value}")) if value else None
        return next((one for one in reversed(self.declared) if one.name == name and one.value), None)

    def declared_setting(self, name: str) -> DeclaredSetting | None:
        """Return a setting as declared, an empty value too."""
        return next((one for one in reversed(self.declared) if one.name == name), None)

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """All loads of all texts."""
        return tuple(load for log in self.logs for load in log.loads)

    @cached_property
    def presents(self) -> tuple[Present, ...]:
        """Each log with what of it is the present."""
        evidence, live, blob = self.evidence, is_live(self.evidence), model_blob(self.evidence)
        runner = next((one for one in evidence.runners or () if evidence.model in {None, one.model}), None)
        whole = runner is not None and 0 < runner.size <= runner.size_vram
        readable = any(show.info for show in evidence.shows if evidence.model in {None, show.model})
        short = any(row.gpu is not None and row.gpu < 1 for row in self.placed)
        absent, others = is_absent(evidence), other_blobs(evidence)
        return tuple(
            Present(log, own, blob, short, whole, readable, own and absent, others)
            for log in self.logs
            for own in (live and log.kind == "server_log",)
        )

    @cached_property
    def placed(self) -> tuple[PsRow, ...]:
        """The listed rows of the model in question; all rows if none is named."""
        model = self.evidence.model
        return self.ps if model is None else tuple(row for row in self.ps if not row.name or same_name(row.name, model))

    @cached_property
    def shown(self) -> Load | None:
        """The load that the incident is about: of all texts the one with the smallest part on the GPU."""
        last = [one.load() for one in self.presents]
        with_result = [load for load in last if load is not None and load.result is not None]
        if with_result:
            return min(with_result, key=lambda load: load.result[0] / load.result[1] if load.result else 1.0)
        return next((load for load in reversed(last) if load is not None), None)

    @cached_property
    def last_request(self) -> Request | None:
        """The last request for an answer that the server process in question finished."""
        return next((one.requests(self.shown)[-1] for one in reversed(self.presents) if one.requests(self.shown)), None)

    @cached_property
    def offloaded(self) -> tuple[int, int] | None:
        """(layers on the GPU, layers of the model), None when nothing says it."""
        return self.shown.result if self.shown else None

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """What the last discovery of each text kept."""
        return tuple(device for log in self.logs for device in log.devices)

    @property
    def gpu_devices(self) -> tuple[Device, ...]:
        """The devices that are more than the processor."""
        return tuple(device for device in self.devices if device.is_gpu)

    @cached_property
    def cpu_device(self) -> Device | None:
        """The ``id=cpu`` line, when discovery kept nothing else."""
        return None if self.gpu_devices else next((device for device in self.devices if not device.is_gpu), None)

    @cached_property
    def prose(self) -> str:
        """What people wrote, in lower case."""
        return self.words.lower()

    @cached_property
    def translated(self) -> Mapping[str, str]:
        """What reports in other languages state: an English sentence, and the words that state it."""
        texts = [piece.text for piece in self.evidence.pieces if piece.kind == "other"]
        return dict(in_english("\n".join([self.evidence.symptom or "", *texts])))

    @cached_property
    def words(self) -> str:
        """What people wrote: symptom, card, and the beginning and end of free texts, without log lines; other languages in English."""
        texts = [piece.text for piece in self.evidence.pieces if piece.kind == "other" and len(piece.text) < _SMALL]
        texts = [text if len(text) <= 2 * _WRITTEN else f"{text[:_WRITTEN]}\n{text[-_WRITTEN:]}" for text in texts]
        lines = [
            line
            for text in texts
            for line in text.splitlines()
            if "msg=" not in line and not line.startswith("$ ") and not is_free_head(line)
        ]
        written = "\n".join([self.evidence.symptom or "", self.evidence.gpu or "", *lines])
        return "\n".join([written, *self.translated]) if self.translated else written

    @cached_property
    def raw(self) -> str:
        """Every small text that is no log, as it was written, without lines that are comments."""
        texts = [piece.text for piece in self.evidence.pieces if piece.kind != "server_log" and len(piece.text) < _SMALL]
        return "\n".join([*texts, self.evidence.symptom or "", self.evidence.gpu or ""])

    @cached_property
    def log_text(self) -> str:
        """Every small log as it was written."""
        return "\n".join(piece.text for piece in self.evidence.pieces if piece.kind == "server_log" and len(piece.text) < _SMALL)

    @cached_property
    def all_text(self) -> str:
        """Every small text, in lower case."""
        return "\n".join(piece.text for piece in self.evidence.pieces if len(piece.text) < _SMALL).lower() + "\n" + self.prose

    @cached_property
    def in_container(self) -> bool:
        """Whether Ollama (or the test program) runs in a container."""
        if self.evidence.platform.startswith("docker") or self.evidence.container or self.docker:
            return True
        if self.evidence.platform == "windows":
            return False  # a container of Windows is docker-windows; Docker in the text is that of a client
        # without a log's prefix, so that every carrier gives the same text
        texts = [piece.text for piece in self.evidence.pieces if piece.kind != "server_log" and len(piece.text) < _SMALL]
        return bool(_CONTAINER.search("\n".join([*texts, self.prose])))

    @cached_property
    def driver(self) -> tuple[str, Quote] | None:
        """The NVIDIA driver's version as nvidia-smi says it."""
        return next(((smi.driver, smi.driver_at) for smi in self.smi if smi.driver and smi.driver_at), None)

    @cached_property
    def processes(self) -> tuple[GpuProcess, ...]:
        """Programs on the card that are not Ollama."""
        return tuple(one for smi in self.smi for one in smi.others)

    @cached_property
    def card_total(self) -> int | None:
        """Memory of all cards, from the strongest source."""
        if self.gpu_devices:
            totals = [device.total for device in self.gpu_devices if device.total]
            if totals:
                return sum(totals)
        if self.shown and self.shown.total:
            return self.shown.total
        totals = next((smi.total for smi in self.smi if smi.total), [])
        if totals:
            return sum(totals)
        return None if self.gpu.available_only else self.gpu.total


def read_evidence(evidence: Evidence) -> Reading:
    """Read all pieces and structured parts of `evidence`; no line and no number of it is longer than one may be."""
    evidence = _bound_lines(evidence)
    ps: list[PsRow] = []
    smi: list[SmiReading] = []
    requested_options: list[RequestedOption] = []
    declared: list[DeclaredSetting] = []
    docker: list[DockerReading] = []
    speeds: list[Speed] = []
    bodies: list[Body] = []
    logs: list[LogReading] = []
    memory: list[MachineMemory] = []
    foreign, live = "", is_live(evidence)
    for label, piece in _label_pieces(evidence):
        part = server_part(piece.text, piece.kind) if piece.kind in _OF_CONTAINERS else piece.text
        log = read_cached(part if piece.kind == "docker_inspect" else piece.text, name=label, kind=piece.kind)
        if live and piece.kind == "server_log" and (other := another_server(log, evidence)):
            foreign = other
            continue
        logs.append(log)
        if len(piece.text) > _SMALL:
            continue
        ps += read_ps(piece.text, label)
        if (seen := read_smi(piece.text, label)) is not None:
            smi.append(seen)
        requested_options += read_requested_options(piece.text, label)
        bodies += read_bodies(piece.text, label)
        declared += _of_server(read_settings(piece.text, label), part, label)
        if piece.kind != "server_log" and (speed := read_speed(piece.text, label)) is not None:
            speeds.append(speed)
        memory += _tables(piece, label, smi)
        if piece.kind != "server_log" and (about := read_docker(part, label)) is not None:
            docker.append(about)
    state = (evidence.container or {}).get("State")
    if isinstance(state, Mapping):
        logs.append(read_log(json.dumps(state, indent=1), name="container State", kind="docker_inspect"))
    _add_structured(evidence, ps, smi, requested_options, docker)
    declared += _container_settings(evidence)
    declared += _settings_of_starter(evidence)
    listed = [d.name for log in logs for d in log.devices if d.is_gpu] + [name for one in smi for name in one.names]
    prose = read_gpu("\n".join(filter(None, (_DENIED.sub("", evidence.gpu or ""), *listed))))
    if not prose.named:
        texts = "\n".join(piece.text for piece in evidence.pieces if piece.kind == "other" and len(piece.text) < _SMALL)
        if texts or evidence.symptom:
            prose = read_gpu(_DENIED.sub("", "\n".join([evidence.gpu or "", evidence.symptom or "", texts])))
            prose = dataclasses.replace(
                prose, memory=read_gpu(evidence.gpu).memory or card_size(f"{evidence.symptom or ''}\n{texts}")
            )
    return Reading(
        evidence,
        tuple(logs),
        tuple(ps),
        tuple(smi),
        tuple(requested_options),
        tuple(declared),
        tuple(docker),
        prose,
        tuple(speeds),
        tuple(bodies),
        tuple(memory),
        foreign,
    )


def _tables(piece: Piece, label: str, smi: list[SmiReading]) -> Iterator[MachineMemory]:
    """Add the programs of a table to `smi`, and yield the machine's memory of one."""
    if piece.kind == "server_log":
        return
    programs, at = read_card_table(piece.text, label)
    if programs:
        smi.append(SmiReading(at=at, memory_at=at, processes=programs))
    if (memory := read_memory(piece.text, label)) is not None:
        yield memory


def _of_server(declared: tuple[DeclaredSetting, ...], part: str, label: str) -> Iterator[DeclaredSetting]:
    """Yield the settings without the variables that hide cards from other containers than the server's."""
    own = {one.at for one in read_settings(part, label)}
    return (one for one in declared if one.at in own or not one.name.endswith("VISIBLE_DEVICES"))


def _bound_lines(evidence: Evidence) -> Evidence:
    return dataclasses.replace(
        evidence,
        symptom=bound_line_lengths(evidence.symptom) if evidence.symptom else evidence.symptom,
        gpu=bound_line_lengths(evidence.gpu) if evidence.gpu else evidence.gpu,
        pieces=tuple(dataclasses.replace(piece, text=_rejoin_small(bound_line_lengths(piece.text))) for piece in evidence.pieces),
        compose_files={path: bound_line_lengths(text) for path, text in evidence.compose_files.items()},
    )


def _rejoin_small(text: str) -> str:
    return rejoin_fields(text) if len(text) < _SMALL else text


def _label_pieces(evidence: Evidence) -> Iterator[tuple[str, Piece]]:
    """Yield the pieces and the symptom, which may quote a message, each with a unique name for quotes."""
    seen: dict[str, int] = {}
    symptom = (Piece("other", evidence.symptom, "symptom"),) if evidence.symptom else ()
    for piece in (*evidence.pieces, *symptom):
        count = seen[piece.label] = seen.get(piece.label, 0) + 1
        yield (piece.label if count == 1 else f"{piece.label}#{count}"), piece


def _container_settings(evidence: Evidence) -> Iterator[DeclaredSetting]:
    """Yield the environment that the server's container has."""
    config = (evidence.container or {}).get("Config")
    listed = config.get("Env") if isinstance(config, Mapping) else None
    for line in listed if isinstance(listed, list) else ():
        name, _, value = str(line).partition("=")
        yield from read_settings(f"{name}={value}", "container Config.Env")


def _settings_of_starter(evidence: Evidence) -> Iterator[DeclaredSetting]:
    """Yield the environment of a native server as its process has it, else as its starter gives it."""
    serving = evidence.serving
    if serving is None or evidence.container is not None:
        return
    known = serving.process.environment if serving.process is not None else None
    sources = {one.name: one.source for one in serving.settings if one.wins}
    for name, value in (serving.declared if known is None else known).items():
        at = Quote("the environment of the process" if known is not None else sources.get(name, serving.words), f"{name}={value}")
        yield DeclaredSetting(name, value, at)


def _card(card: Gpu) -> str:
    if card.total is None or card.used is None:
        return f"{card.name}: {card.problem or 'its memory is not known'}"
    return f"{card.name}: {human(card.used)} of {human(card.total)} used"


def _add_structured(
    evidence: Evidence,
    ps: list[PsRow],
    smi: list[SmiReading],
    requested_options: list[RequestedOption],
    docker: list[DockerReading],
) -> None:
    """Add what a live host gave as typed parts."""
    for runner in evidence.runners or ():
        entry = {
            "name": runner.model,
            "size": runner.size,
            "size_vram": runner.size_vram,
            "context_length": runner.context_length,
        }
        ps.append(row_of(entry, "/api/ps"))
    if evidence.use is not None and evidence.use.gpus:
        cards = evidence.use.gpus
        measured = [card for card in cards if card.total is not None and card.used is not None]
        at = Quote("GPU", _card(measured[0] if measured else cards[0]))
        smi.append(
            SmiReading(
                at=at,
                driver=cards[0].driver_version,
                driver_at=Quote("GPU driver", cards[0].driver_version),
                names=[card.name for card in measured],
                total=[card.total for card in measured if card.total is not None],
                used=[card.used for card in measured if card.used is not None],
                memory_at=at if measured else None,
                processes=[GpuProcess(one.name, "", one.vram) for one in evidence.use.processes],
            )
        )
    for show in evidence.shows:
        for key in ("num_gpu", "num_ctx"):
            text = show.parameters.get(key)
            if text is not None:
                value = int(float(text)) if re.fullmatch(r"-?\d+(?:\.\d+)?(?:e[+-]?\d{1,2})?", text) else None
                requested_options.append(
                    RequestedOption(key, value, Quote(f"/api/show {show.model} parameters", f"{key} {text}"))
                )
    if evidence.container:
        docker.append(read_inspect(evidence.container, "container"))
    for path, text in evidence.compose_files.items():
        if (about := read_docker(text, path)) is not None:
            docker.append(about)
        requested_options += read_requested_options(text, path)
    if evidence.compose:
        requested_options += read_requested_options(json.dumps(evidence.compose, indent=1), "compose")
