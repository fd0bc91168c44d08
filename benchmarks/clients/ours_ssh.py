"""Our SSH connections: hosts, calls, forks, and a JSON object of the variables they share, on the command line."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from remediation.connections.calls import Completed, Run
from remediation.connections.factory import open_connection
from remediation.connections.settings import from_variables


def one(host: str, calls: int, variables: dict[str, object]) -> int:
    """Make the calls to one host; return how many were right."""
    connection = open_connection(from_variables(host, {**variables, "ansible_host": host}), scripts=str)
    try:
        replies = [connection.exchange([Run(("echo", "hello"))])[0] for _ in range(calls)]
    finally:
        connection.close()
    return sum(reply == Completed(0, b"hello\n", b"") for reply in replies)


def main() -> None:
    """Print how many calls were right."""
    hosts, calls, forks, variables = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    with ThreadPoolExecutor(forks) as pool:
        print(sum(pool.map(lambda host: one(host, calls, variables), hosts)))


main()
