"""What Docker, the NVIDIA container toolkit, WSL and Docker Desktop say (facts/ollama 5.2; recordings, Docker)."""

from __future__ import annotations

from remediation.diagnosis.signs.scan import sign

SIGNS = (
    sign("no_device_driver", "could not select device driver"),
    sign(
        "unknown_runtime",
        "runtime",
        r"unknown (?:or invalid )?runtime|runtime[^\n]{0,40}nvidia[^\n]{0,40}not found|nvidia-container-runtime[^\n]{0,60}(?:not found|no such file)",
    ),
    sign(
        "cdi",
        "cdi",
        r"(?:failed to inject CDI devices|unresolvable CDI devices?|CDI device injection failed|no CDI devices found|failed to discover GPU vendor from CDI|no known GPU vendor)",
    ),
    sign("container_cli", "nvidia-container-cli", r"nvidia-container-cli: ?([^\n]*)"),
    sign(
        "container_cli",
        "nvidia-container-runtime-hook",
        r"nvidia-container-runtime-hook[^\n]*(error|fail|not found|no such)[^\n]*",
    ),
    sign("no_gpu_resource", "nvidia.com/gpu", r"insufficient nvidia\.com/gpu"),
    sign("restarting", "restarting", r"Restarting \(\d+\)|\"Restarting\":\s*true"),
    sign("no_adapters", "no adapters were found"),
    sign(
        "smi_absent",
        "nvidia-smi",
        r"nvidia-smi[\"':]*[^\n{}]{0,80}(?:executable file not found|command not found|not found in \$?PATH|not recognized|no such file|not found)",
    ),
    sign("driver_not_detected", "nvidia driver was not detected"),
    sign("no_cgroups", "no-cgroups", r"no-cgroups\s*=\s*true"),
    sign("hook_failed", "error running", r"error running (?:prestart )?hook"),
    sign("daemon_down", "docker daemon", r"cannot connect to the docker daemon"),
    sign("daemon_down", "error during connect"),
    sign("daemon_down", "docker api", r"failed to connect to the docker api"),
    sign("daemon_down", "cannot find the file specified", r"(?:docker_engine|dockerDesktop\w*Engine)[^\n]*cannot find the file"),
    sign(
        "desktop_state",
        "docker desktop",
        r"docker desktop[^\n]*(?:unable to start|is not running|stopped|failed to start|unexpected(?:ly)? (?:\w+ )?(?:error|quit)|won't start|hangs)|error[^\n]{0,60}docker desktop",
    ),
    sign(
        "desktop_state",
        "backend",
        r"(?:wsl|docker) (?:backend|engine) (?:stopped|failed|terminated)|backend process[^\n]*(?:exited|not running)",
    ),
    sign("desktop_state", "engine stopped"),
    sign(
        "desktop_state",
        "engine",
        r"(?:stuck|hangs?|stays|forever|never)[^\n]{0,40}starting(?: the)?(?: docker)? engine|starting(?: the)? docker engine[^\n]{0,40}(?:hang|stuck|forever|never)",
    ),
    sign("desktop_state", "wsl 2 distro", r"could not be found in this WSL 2 distro"),
    sign(
        "desktop_state", "500", r"request returned (?:500 )?Internal Server Error for API route|dockerDesktop\w*Engine[^\n]*500"
    ),
    sign(
        "wsl_error",
        "wsl",
        r"Wsl/(?:Service|CallMsi|EnumerateDistros)\S*|WslRegisterDistribution failed|wsl(?:\.exe)?[^\n]{0,60}(?:exited with|exit status|timed out|failed|error code)|0x8037\w+|HCS_E_\w+",
    ),
    sign(
        "dxg",
        "dxg",
        r"misc dxg: dxgk?[^\n]*(?:failed|error|-\d+)|libdxcore[^\n]*(?:not found|no such|cannot|fail)|/dev/dxg[^\n]*(?:no such|not exist|missing)",
    ),
    sign("dxg", "libnvdxgdmal", r"libnvdxgdmal[^\n]*(?:missing|not found|no such|cannot)"),
)
