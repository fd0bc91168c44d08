"""``ansible_connection: wrapped``: programs run through another program, such as ``docker exec -i NAME``."""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
from collections.abc import Callable

from remediation.connections.calls import Completed, Failed, Reply, Run
from remediation.connections.program_connection import ProgramConnection
from remediation.connections.settings import ConnectionSettings
from remediation.connections.variables import ConnectionVariables
from remediation.model.errors import Unreachable, UsageError

_log = logging.getLogger(f"remediation.{__name__}")  # below `remediation`, so that --log-file has it too


class WrappedConnection(ProgramConnection):
    """Runs ``WRAPPER env --chdir=... NAME=VALUE program arguments``."""

    def __init__(self, settings: ConnectionSettings, note: Callable[[str], None], /) -> None:
        super().__init__(settings.name)
        wrapper = ConnectionVariables(settings.name, settings.variables).text("wrapper")
        if not wrapper:
            raise UsageError(f"{settings.name}: the variable wrapper is missing", next_step="wrapper: docker exec -i NAME")
        self._wrapper = tuple(shlex.split(wrapper))
        if settings.become is not None:
            note(f"{settings.name}: become has no effect on wrapped connections")

    def run(self, call: Run) -> Reply:
        """Run one program to its end."""
        if shutil.which(self._wrapper[0]) is None:
            raise Unreachable(f"{self.host}: there is no {self._wrapper[0]}", host=self.host, next_step="install it here")
        folder = (f"--chdir={call.cwd}",) if call.cwd is not None else ()
        settings = [f"{name}={value}" for name, value in call.env.items()]
        argv = (*self._wrapper, "env", *folder, *settings, *call.argv)
        _log.debug("%s: %d words through %s", self.host, len(argv), self._wrapper[0])
        try:
            done = subprocess.run(argv, input=call.stdin, capture_output=True, timeout=call.timeout, check=False)
        except subprocess.TimeoutExpired:
            return Failed("timeout", f"{call.argv[0]} did not end in {call.timeout:g} s")
        if done.returncode == 127:  # env's code for a program that is not there
            return Failed("not-found", f"there is no {call.argv[0]}", call.argv[0])
        return Completed(done.returncode, done.stdout, done.stderr)
