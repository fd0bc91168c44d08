"""A file over our WinRM connection: port, size, and where it goes on the host, on the command line."""

from __future__ import annotations

import hashlib
import os
import sys

from remediation.connections.calls import FileContent, WriteFile
from remediation.connections.factory import open_connection
from remediation.connections.settings import from_variables

CONTENT = os.urandom(int(sys.argv[2]))
VARIABLES = {
    "ansible_connection": "winrm", "ansible_host": "127.0.0.1", "ansible_port": int(sys.argv[1]), "ansible_winrm_scheme": "http",
    "ansible_user": "ops", "ansible_password": "Pa55-word",
}  # fmt: skip
connection = open_connection(from_variables("h", VARIABLES), scripts=str)
assert connection.exchange([WriteFile(sys.argv[3], CONTENT, timeout=300)]) == [FileContent()]
connection.close()
print(hashlib.sha256(CONTENT).hexdigest())
