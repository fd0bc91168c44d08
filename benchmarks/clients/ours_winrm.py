"""Our connections: ports and the number of calls on the command line, a thread per host up to the number of forks.

Each call is a program that may take an hour, as the task ``command`` starts it.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from remediation.connections.calls import Completed, Run
from remediation.connections.factory import open_connection
from remediation.connections.settings import from_variables


def one(port: int, calls: int) -> int:
    """Make the calls to one host; return how many were right."""
    variables = {
        "ansible_connection": "winrm", "ansible_host": "127.0.0.1", "ansible_port": port, "ansible_winrm_scheme": "http",
        "ansible_user": "ops", "ansible_password": "Pa55-word",
    }  # fmt: skip
    connection = open_connection(from_variables(f"h{port}", variables), scripts=str)
    try:
        replies = [connection.exchange([Run(("hostname",), timeout=3600.0, writes=True)])[0] for _ in range(calls)]
    finally:
        connection.close()
    return sum(isinstance(reply, Completed) and reply.stdout == b"BENCHMARK\r\n" for reply in replies)


def main() -> None:
    """Print how many calls were right."""
    ports, calls, forks = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with ThreadPoolExecutor(forks) as pool:
        right = sum(pool.map(lambda port: one(port, calls), ports))
    if sys.argv[4:] == ["memory"]:
        import resource

        print(right, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    else:
        print(right)


main()
