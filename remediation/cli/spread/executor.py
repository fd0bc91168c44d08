"""``--executor``: where the hosts of a command run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from remediation.model.errors import UsageError

if TYPE_CHECKING:
    from remediation.cli.options import Spread
    from remediation.engine.executors.dask_cluster import DaskCluster
    from remediation.engine.play.context.run_request import RunRequest
    from remediation.engine.play.waves.executor import Executor

LOCAL = "local"


@contextmanager
def cluster_of(options: Spread, request: RunRequest) -> Iterator[DaskCluster | None]:
    """Yield the cluster of ``--executor``, None for this machine. Raises `UsageError` for a run that cannot be spread."""
    if options.executor in {None, LOCAL}:
        yield None
        return
    from remediation.engine.executors.refusals import carries_secrets, refuse_unsupported

    refuse_unsupported(request)
    with open_cluster(options, secret=carries_secrets(request)) as cluster:
        yield cluster


@contextmanager
def open_cluster(options: Spread, *, secret: bool) -> Iterator[DaskCluster]:
    """Yield the cluster, with its workers checked. Raises `UsageError` if secrets would travel in clear."""
    from remediation.engine.executors.dask_cluster import connect_cluster

    if options.record:
        raise UsageError(
            "--record records the calls of this process and cannot be combined with --executor", next_step="leave out one"
        )
    with connect_cluster(options.executor or "") as cluster:
        if secret and not cluster.is_encrypted():
            _refuse_plaintext(options, cluster)
        cluster.check()
        yield cluster


def _refuse_plaintext(options: Spread, cluster: DaskCluster) -> None:
    if options.executor_plaintext and cluster.is_loopback():
        return
    if options.executor_plaintext:
        raise UsageError(
            f"--executor-plaintext: {cluster.address} has a scheduler or a worker on another machine",
            next_step="start the cluster with TLS: dask scheduler --protocol tls",
        )
    raise UsageError(
        f"the run carries secrets, and the Dask cluster {cluster.address} is not encrypted",
        next_step="start the cluster with TLS and use tls://HOST:PORT; on this machine alone, --executor-plaintext allows it",
    )


def executor_on(cluster: DaskCluster | None, keep: Callable[[str, str], None]) -> Executor | None:
    """Return the executor for a run; `keep` stores the readings of a host."""
    if cluster is None:
        return None
    from remediation.engine.executors.remote import RemoteExecutor

    return RemoteExecutor(cluster, keep)
