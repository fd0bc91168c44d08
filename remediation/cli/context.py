"""The context of a command: inventory, open hosts, the lab that an inventory uses, and masked secrets; on a worker, one host."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from remediation.cli.extra_vars import extra_variables
from remediation.cli.resources import INVENTORY, find_resource, names
from remediation.cli.stdio import current_masker
from remediation.engine.internal_errors import CrashLog, contain_errors, errors_folder
from remediation.engine.workers import PARTING, finish, gather
from remediation.inventory.ansible_config import ansible_config
from remediation.inventory.check import misspelt
from remediation.inventory.load import Inventory, check_inventory, holds_files, load_inventory
from remediation.inventory.secrets import vault_of
from remediation.model.errors import Blocked, Problem, RemediationError, UsageError
from remediation.model.secrets.masking import Masker, secrets_in
from remediation.model.secrets.names import sounds_secret
from remediation.model.translation import gettext, translated
from remediation.templating.templar import Scope
from remediation.templating.yaml.loader import Decrypt
from remediation.templating.yaml.located import Table
from remediation.templating.yaml.secret import Secret

if TYPE_CHECKING:
    from remediation.cli.options import HostOptions
    from remediation.connections.recorder.cassette import Cassette
    from remediation.facets.access import HostAccess
    from remediation.model.secrets.masking import Masker


_log = logging.getLogger(__name__)

DEFAULT_INVENTORY = "local"
LONG_ENOUGH = 8
"""Minimum length of an environment variable's value to count as a secret: switches and numbers use such names too."""

MOST_AT_ONCE = 50
"""How many hosts are read in parallel."""

T = TypeVar("T")


class OpenAccesses:
    """The hosts that a command reads, for all threads, and the notes already printed."""

    def __init__(self) -> None:
        self._open: list[HostAccess] = []
        self._announced: set[str] = set()
        self._ended = False
        self._lock = threading.Lock()

    def add(self, host: str, access: HostAccess) -> None:
        """Register an opened host. Raises `Blocked` if the command is ending: nothing would close the host."""
        with self._lock:
            if self._ended:
                raise Blocked(f"{host}: the command is ending", host=host)
            self._open.append(access)

    def forget(self, access: HostAccess) -> bool:
        """Unregister a host that its user closes; return False if `end` has already closed it."""
        with self._lock:
            known = access in self._open
            self._open = [each for each in self._open if each is not access]
            return known

    def is_new(self, note: str) -> bool:
        """Return whether a note has not been printed yet."""
        with self._lock:
            new = note not in self._announced
            self._announced.add(note)
            return new

    def end(self) -> None:
        """Close all hosts in parallel, within a few seconds: each may be in the middle of a call."""
        with self._lock:
            self._ended, opened, self._open = True, self._open, []
        finish((each.close for each in opened), PARTING)


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """The hosts of a command line: its inventory (with a lab's addresses filled in), extra variables and secrets."""

    inventory: Inventory
    extra: Mapping[str, Any]
    limit: str | None
    masker: Masker
    sources: tuple[str, ...]
    decrypt: Decrypt | None = None
    tape: Cassette | None = None
    looks: OpenAccesses = dataclasses.field(default_factory=OpenAccesses, compare=False)

    def selected(self, pattern: str = "all") -> tuple[str, ...]:
        """Return the hosts that `pattern` and ``--limit`` select. Raises `UsageError` if there are none."""
        hosts = self.inventory.select(pattern, self.limit)
        if not hosts:
            named = f"--limit {self.limit}" if self.limit else "the inventory"
            raise UsageError(f"{named} selects no host", next_step="remediate hosts lists them")
        return hosts

    def variables(self, host: str) -> dict[str, Any]:
        """Return a host's variables as plain values. Variables that cannot be evaluated are left out, except connection variables.

        A connection must not fail because of a variable that it does not read.
        """
        from remediation.engine.play.context.variables import render_all

        values = render_all(Scope((self.extra, *self.inventory.layers(host), self.inventory.magic(host))))
        self._learn(values)
        return values

    def open(
        self, host: str, variables: Mapping[str, Any], *, check: bool, note: Callable[[str], None] = lambda _: None
    ) -> HostAccess:  # fmt: skip
        """Return the host, opened lazily; secrets in `variables` are masked in all output from now on.

        `note` receives the connection's notes as they arise.
        """
        self._learn(variables)
        from remediation.facets.host_factory import open_host

        return open_host(host, variables, check=check, note=note, recorder=self.tape.recorder if self.tape is not None else None)

    @contextmanager
    def open_for_reading(
        self, host: str, *, check: bool = True, note: Callable[[str], None] | None = None
    ) -> Iterator[HostAccess]:
        """Yield a host that is opened for one reading, and close it. Its notes go to standard error, or to `note`."""
        access = self._open_host(host, check=check, note=note)
        try:
            yield access
        finally:
            self.looks.forget(access)
            access.close()

    @contextmanager
    def open_on_use(self) -> Iterator[Callable[[str], HostAccess]]:
        """Yield a function that opens a host read-only on first use; all hosts are closed in parallel at the end."""
        opened: dict[str, HostAccess] = {}

        def access(name: str) -> HostAccess:
            if name not in opened:
                opened[name] = self._open_host(name, check=True)
            return opened[name]

        try:
            yield access
        except KeyboardInterrupt:
            self.looks.end()
            raise
        finally:
            finish(each.close for each in opened.values() if self.looks.forget(each))

    def _open_host(self, host: str, *, check: bool, note: Callable[[str], None] | None = None) -> HostAccess:
        access = self.open(host, self.variables(host), check=check, note=note or self.warn)
        self.looks.add(host, access)
        return access

    def warn(self, text: str) -> None:
        """Print a note of a connection on standard error, once."""
        if self.looks.is_new(text):
            sys.stderr.write(f"{gettext('warning')}: {translated(self.masker.text(text))}\n")

    def contain_errors(self, work: Callable[[str], T], failed: Callable[[str, RemediationError], T]) -> Callable[[str], T]:
        """Return `work` with its errors turned into results by `failed`; internal errors are saved with their traceback."""
        crashed = CrashLog(errors_folder(), self.masker)

        def one(name: str) -> T:
            try:
                with contain_errors(name, crashed):
                    return work(name)
            except RemediationError as error:
                return failed(name, error)

        return one

    def each(self, work: Callable[[str], T], failed: Callable[[str, RemediationError], T], names: Sequence[str]) -> Sequence[T]:
        """Return the result of `work` for each host, in parallel; `failed` turns an error into a result.

        An internal error becomes an error of its host, with the traceback saved. An interrupt closes the hosts being read.
        """
        try:
            return gather(self.contain_errors(work, failed), names, MOST_AT_ONCE)
        except KeyboardInterrupt:
            self.looks.end()
            raise

    def _learn(self, variables: object) -> None:
        self.masker.add(*secrets_in(variables))


@contextmanager
def open_session(options: HostOptions, *, playbook: Path | None = None) -> Iterator[Session]:
    """Read the inventory that `options` name, and start the lab if it uses one. Raises `InputError`, `UsageError`."""
    from remediation.engine.context import Policy

    masker = current_masker()
    masker.add(*secrets_of_environment(os.environ))
    decrypt = _masking_decrypt(vault_of(options.vault_password_file), masker)
    inventory = read_inventory(options, playbook=playbook, decrypt=decrypt)
    if inventory.lab is not None:
        inventory = _with_lab(inventory, inventory.lab)
    extra = extra_variables(options.extra_vars, decrypt=decrypt)
    masker.add(*secrets_in([extra, *inventory.tables()]))
    check_inventory(inventory, extra, Policy().for_host)
    warn_of_misspelt(inventory, extra)
    if options.limit is not None:
        inventory.limit_hosts(options.limit)
    _log.info(
        "inventory %s: %d hosts, limit %s", ", ".join(map(str, inventory.sources)), len(inventory.hosts), options.limit or "none"
    )
    tape = _tape(getattr(options, "record", None), masker)
    try:
        yield Session(inventory, extra, options.limit, masker, inventory.sources, decrypt, tape)
    finally:
        if tape is not None:
            tape.save()


def secrets_of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of this process's environment whose names mark them as secret: templates and local programs see them."""
    return (value for name, value in environment.items() if sounds_secret(name) and len(value) >= LONG_ENOUGH)


def warn_of_misspelt(inventory: Inventory, extra: Mapping[str, Any]) -> None:
    """Warn on stderr about variables that look like misspelled Ansible variables, and settings of ``ansible.cfg`` without effect."""
    for each in misspelt(inventory, extra):
        sys.stderr.write(f"{gettext('warning')}: {Problem(translated(each.message), each.place, each.excerpt)}\n")
    note = ansible_config().note()
    if note:
        sys.stderr.write(f"{gettext('note')}: {translated(note)}\n")


def _tape(name: str | None, masker: Masker) -> Cassette | None:
    if name is None:
        return None
    from remediation.connections.recorder.cassette import Cassette

    path = Path(name)
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--record: cannot write a file at {path}", next_step="name a file in an existing folder")
    return Cassette(path, masker)


def _masking_decrypt(decrypt: Decrypt, masker: Masker) -> Decrypt:
    """Return `decrypt` with every decrypted text masked from then on."""

    def note(text: str) -> str:
        opened = decrypt(text)
        masker.add(opened.strip())
        return opened

    return note


def read_inventory(options: HostOptions, *, playbook: Path | None = None, decrypt: Decrypt | None = None) -> Inventory:
    """Read the inventory that `options` name without starting a lab. Raises `InputError`, `UsageError`."""
    decrypt = decrypt or vault_of(options.vault_password_file)
    config = ansible_config()
    configured = () if options.inventory else config.sources()
    names = options.inventory or configured or (DEFAULT_INVENTORY,)
    given = config.variables()
    places = {name: place for name in given if (place := config.place())}
    try:
        sources = [source if "," in source else _source(source) for source in names]
        return load_inventory(sources, playbook_dir=playbook.parent if playbook else None, decrypt=decrypt,
            defaults=Table(given, config.place(), places, places),
        )  # fmt: skip
    except UsageError as error:
        if not configured:
            raise
        raise UsageError(f"{error.message} (named by {config.origin('inventory')})", next_step=error.next_step) from None


def _source(name: str) -> Path:
    here = Path(name)
    # a folder without an inventory does not hide a shipped inventory of the same name: the checkout's lab/ is code
    if here.is_dir() and (name not in names(INVENTORY) or holds_files(here)):
        return here
    return find_resource(INVENTORY, name)


def _with_lab(inventory: Inventory, wanted: Mapping[str, Any]) -> Inventory:
    from remediation.cli.plugins import not_installed, plugin

    needed_by = "an inventory with the key lab:"
    start_hosts = plugin("lab", needed_by).start_hosts
    if start_hosts is None:
        raise not_installed("lab", needed_by)
    for name, variables in start_hosts(wanted).items():
        if name in inventory.hosts:
            inventory = inventory.with_host_vars(name, {key: _secret(key, value) for key, value in variables.items()})
    return inventory


def _secret(name: str, value: object) -> object:
    return Secret(value) if isinstance(value, str) and sounds_secret(name) else value


@dataclasses.dataclass(frozen=True, slots=True)
class SentSession(Session):
    """A session without an inventory. ``notes`` are the connection's remarks, for the controller to print."""

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    notes: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, values: Mapping[str, Any], masker: Masker) -> SentSession:
        """Return the session of one host."""
        return cls(Inventory({}, (), {}, {}), {}, None, masker, (), values=values)

    def variables(self, host: str) -> dict[str, Any]:
        """Return the variables that the controller sent."""
        return dict(self.values)

    def warn(self, text: str) -> None:
        """Keep a note of the connection."""
        if self.looks.is_new(text):
            self.notes.append(text)
