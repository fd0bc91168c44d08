"""Facts from the answer of ``scripts/facts.sh``."""

from __future__ import annotations

import configparser
import ipaddress
import json
import re
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import Any

KIB = 1024
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "Debian": ("debian", "ubuntu", "linuxmint", "raspbian", "kali", "pop", "devuan", "deepin"),
    "RedHat": ("rhel", "centos", "fedora", "rocky", "almalinux", "ol", "amzn", "scientific", "oracle"),
    "Suse": ("sles", "opensuse", "opensuse-leap", "opensuse-tumbleweed", "suse"),
    "Archlinux": ("arch", "manjaro"),
    "Alpine": ("alpine",),
    "Gentoo": ("gentoo",),
}
NAMES: Mapping[str, str] = {
    "debian": "Debian", "ubuntu": "Ubuntu", "centos": "CentOS", "fedora": "Fedora", "rhel": "RedHat", "rocky": "Rocky",
    "almalinux": "AlmaLinux", "amzn": "Amazon", "alpine": "Alpine", "arch": "Archlinux", "sles": "SLES", "ol": "OracleLinux",
    "opensuse-leap": "openSUSE Leap", "opensuse-tumbleweed": "openSUSE Tumbleweed", "linuxmint": "Linux Mint", "kali": "Kali",
}  # fmt: skip
MANAGERS: Mapping[str, str] = {"apt-get": "apt"}
PSEUDO = frozenset(
    {
        "proc",
        "sysfs",
        "tmpfs",
        "devtmpfs",
        "devpts",
        "cgroup",
        "cgroup2",
        "overlay",
        "mqueue",
        "securityfs",
        "debugfs",
        "tracefs",
        "bpf",
    }
)
Section = list[str]


def facts_from_shell(text: str, cards: Callable[[str], list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the facts in the script's answer. `cards` reads nvidia-smi's CSV."""
    parts, local = _sections(text)
    facts: dict[str, Any] = {}
    _system(parts, facts)
    if "ids" in parts:
        _minimum(parts, facts)
        facts["local"] = {PurePosixPath(path).stem: _local(path, lines) for path, lines in local.items()}
    if "memory" in parts:
        _hardware(parts, facts)
    if "links" in parts:
        _network(parts, facts)
    if "virtual" in parts:
        _virtual(parts["virtual"], facts)
    if "gpu" in parts:
        facts["gpu"] = cards("\n".join(parts["gpu"]))
    return facts


def _sections(text: str) -> tuple[dict[str, Section], dict[str, Section]]:
    parts: dict[str, Section] = {}
    local: dict[str, Section] = {}
    lines: Section = []
    for line in text.split("\n"):
        if line.startswith("== local "):
            lines = local.setdefault(line.removeprefix("== local "), [])
        elif line.startswith("== "):
            lines = parts.setdefault(line.removeprefix("== "), [])
        elif line:
            lines.append(line)
    return parts, local


def _first(parts: Mapping[str, Section], name: str) -> str:
    return parts[name][0] if parts.get(name) else ""


def _system(parts: Mapping[str, Section], facts: dict[str, Any]) -> None:
    system, node, kernel, machine, version = (*parts.get("system", ()), *([""] * 5))[:5]
    facts |= {
        "system": system, "nodename": node, "hostname": node.partition(".")[0], "kernel": kernel, "kernel_version": version,
        "machine": machine, "architecture": "i386" if re.fullmatch(r"i\d86", machine) else machine,
    }  # fmt: skip
    release = {name: value for line in parts.get("release", ()) for name, value in [_assignment(line)] if name}
    ident = release.get("ID", "").lower()
    likes = (ident, *release.get("ID_LIKE", "").lower().split())
    family = next((name for like in likes for name, members in FAMILIES.items() if like in members), "")
    number = release.get("VERSION_ID", "")
    full = _first(parts, "debian") if ident == "debian" else number
    full = full if full[:1].isdigit() else number
    major, dot, minor = full.partition(".")
    shown = NAMES.get(ident) or release.get("NAME", system)
    facts |= {
        "distribution": shown, "distribution_version": full or "n/a", "distribution_major_version": major or "n/a",
        "distribution_release": release.get("VERSION_CODENAME") or "n/a", "distribution_file_path": "/etc/os-release",
        "distribution_file_variety": family or shown, "distribution_file_parsed": True, "os_family": family or shown,
        **({"distribution_minor_version": minor.partition(".")[0]} if dot else {}),
    }  # fmt: skip
    facts["lsb"] = {
        "codename": release.get("VERSION_CODENAME", ""), "description": release.get("PRETTY_NAME", ""), "id": shown,
        "major_release": number.partition(".")[0], "release": number,
    }  # fmt: skip


def _assignment(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals or line.startswith("#"):
        return "", ""
    try:
        words = shlex.split(value)
    except ValueError:
        words = [value]
    return name.strip(), words[0] if words else ""


def _minimum(parts: Mapping[str, Section], facts: dict[str, Any]) -> None:
    fqdn = _first(parts, "fqdn") or facts["nodename"]
    uid, gid, real_uid, real_gid = (int(each) if each.isdigit() else 0 for each in (*parts["ids"], *([""] * 4))[:4])
    user = parts["ids"][4] if len(parts["ids"]) > 4 else ""
    entry = (*_first(parts, "passwd").split(":"), *([""] * 7))[:7]
    facts |= {
        "fqdn": fqdn, "domain": fqdn.partition(".")[2], "userspace_bits": _first(parts, "bits"),
        "userspace_architecture": facts["architecture"], "user_id": user or entry[0], "user_uid": uid, "user_gid": gid,
        "user_gecos": entry[4], "user_dir": entry[5], "user_shell": entry[6], "real_user_id": real_uid, "real_group_id": real_gid,
        "effective_user_id": uid, "effective_group_id": gid, "env": dict(_variable(line) for line in parts.get("environment", ())),
        "date_time": _times(_first(parts, "date")), "cmdline": _options(_first(parts, "cmdline")),
        "proc_cmdline": _options(_first(parts, "cmdline")), "dns": _dns(parts.get("resolv", [])),
        "service_mgr": _first(parts, "init") or "unknown", "fips": _first(parts, "fips") == "1", "is_chroot": False,
        "apparmor": {"status": _first(parts, "apparmor") or "disabled"}, "machine_id": _first(parts, "machine_id"),
        "system_capabilities_enforced": "N/A", "system_capabilities": [],
    }  # fmt: skip
    manager = _first(parts, "packages")
    facts["pkg_mgr"] = MANAGERS.get(manager, manager) or "unknown"
    mode = _first(parts, "selinux").lower()
    facts["selinux"] = {"status": "enabled", "mode": mode} if mode not in {"", "disabled"} else {"status": "disabled"}
    _python(parts.get("python", []), facts)
    for line in parts.get("keys", ()):
        kind, _, rest = line.partition(" ")
        short = kind.removeprefix("ssh-").partition("-")[0]
        facts[f"ssh_host_key_{short}_public"] = rest.partition(" ")[0]
        facts[f"ssh_host_key_{short}_public_keytype"] = kind


def _variable(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name, value.replace("\x01", "\n")


def _times(line: str) -> dict[str, str]:
    seconds, offset, zone = (*line.split(), "0", "+0000", "UTC")[:3] if line else ("0", "+0000", "UTC")
    sign = -1 if offset.startswith("-") else 1
    away = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5])) * sign
    now = datetime.fromtimestamp(int(seconds), timezone(away))
    return times_of(now, zone, offset)


def times_of(now: datetime, zone: str, offset: str) -> dict[str, str]:
    """Return the fact ``date_time``."""
    utc = now.astimezone(timezone.utc)
    epoch = str(int(now.timestamp()))
    return {
        "year": f"{now:%Y}", "month": f"{now:%m}", "weekday": f"{now:%A}", "weekday_number": f"{now:%w}", "weeknumber": f"{now:%W}",
        "day": f"{now:%d}", "hour": f"{now:%H}", "minute": f"{now:%M}", "second": f"{now:%S}", "epoch": epoch, "epoch_int": epoch,
        "date": f"{now:%Y-%m-%d}", "time": f"{now:%H:%M:%S}", "iso8601": f"{utc:%Y-%m-%dT%H:%M:%SZ}",
        "iso8601_micro": f"{utc:%Y-%m-%dT%H:%M:%S.%fZ}", "iso8601_basic": f"{now:%Y%m%dT%H%M%S%f}",
        "iso8601_basic_short": f"{now:%Y%m%dT%H%M%S}", "tz": zone, "tz_dst": zone, "tz_offset": offset,
    }  # fmt: skip


def _options(line: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in line.split():
        name, equals, value = word.partition("=")
        found[name] = value if equals else True
    return found


def _dns(lines: Section) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            found.setdefault("nameservers", []).append(words[1])
        elif len(words) > 1 and words[0] in {"search", "sortlist"}:
            found[words[0]] = words[1:]
        elif len(words) > 1 and words[0] == "domain":
            found["domain"] = words[1]
    return found


def _python(lines: Section, facts: dict[str, Any]) -> None:
    if len(lines) < 2 or not lines[1].startswith("Python "):
        return
    version = lines[1].removeprefix("Python ").strip()
    numbers = [int(part) for part in re.findall(r"\d+", version)[:3]]
    major, minor, micro = (*numbers, 0, 0, 0)[:3]
    facts["python_version"] = version
    facts["python"] = {
        "executable": lines[0], "type": "cpython", "has_sslcontext": True, "version_info": [major, minor, micro, "final", 0],
        "version": {"major": major, "minor": minor, "micro": micro, "releaselevel": "final", "serial": 0},
    }  # fmt: skip


def _local(path: str, lines: Section) -> Any:
    """Return a local fact: JSON, or an INI file's sections."""
    text = "\n".join(lines)
    try:
        return json.loads(text)
    except RecursionError:
        return "error loading facts: nested too deeply"
    except ValueError:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(text)
        except configparser.Error:
            return f"error loading facts as JSON or ini - please check content: {path}"
        return {section: dict(parser.items(section)) for section in parser.sections()}


def _hardware(parts: Mapping[str, Section], facts: dict[str, Any]) -> None:
    memory = {
        name: int(value.split()[0]) for line in parts["memory"] for name, _, value in [line.partition(":")] if value.split()
    }

    def mib(name: str) -> int:
        return memory.get(name, 0) // KIB

    total, free, swap, swap_free = mib("MemTotal"), mib("MemFree"), mib("SwapTotal"), mib("SwapFree")
    cached = mib("Cached") + mib("Buffers")
    facts |= {"memtotal_mb": total, "memfree_mb": free, "swaptotal_mb": swap, "swapfree_mb": swap_free}
    facts["memory_mb"] = {
        "real": {"total": total, "used": total - free, "free": free},
        "nocache": {"free": free + cached, "used": total - free - cached},
        "swap": {"total": swap, "free": swap_free, "used": swap - swap_free, "cached": mib("SwapCached")},
    }
    _processors(parts.get("cpu", []), _first(parts, "nproc"), facts)
    facts["uptime_seconds"] = int(float((_first(parts, "uptime").split() or ["0"])[0]))
    loads = _first(parts, "load").split()[:3]
    facts["loadavg"] = {name: float(value) for name, value in zip(("1m", "5m", "15m"), loads, strict=False)}
    dmi = {name: value for line in parts.get("dmi", ()) for name, _, value in [line.partition(" ")]}
    for name in ("bios_date", "bios_vendor", "bios_version", "board_name", "board_vendor", "chassis_vendor",
                 "product_name", "product_serial", "product_uuid", "product_version"):  # fmt: skip
        facts[name] = dmi.get(name, "NA")
    facts["system_vendor"] = dmi.get("sys_vendor", "NA")
    _mounts(parts, facts)
    facts["devices"] = {
        name: {"sectors": size, "sectorsize": "512", "size": _size(size)}
        for line in parts.get("disks", ()) for name, _, size in [line.partition(" ")] if size != "0"
    }  # fmt: skip


def _size(sectors: str) -> str:
    amount = float(sectors) * 512
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if amount < KIB or unit == "TB":
            return f"{amount:.2f} {unit}"
        amount /= KIB
    return ""


def _processors(lines: Section, usable: str, facts: dict[str, Any]) -> None:
    rows = [(name.strip(), value.strip()) for line in lines for name, _, value in [line.partition(":")]]
    count = sum(name == "processor" for name, _ in rows)
    sockets = {value for name, value in rows if name == "physical id"}
    cores = next((int(value) for name, value in rows if name == "cpu cores" and value.isdigit()), 1)
    siblings = next((int(value) for name, value in rows if name == "siblings" and value.isdigit()), cores)
    sold = len(sockets) or count or 1
    threads = max(1, siblings // max(1, cores))
    facts |= {
        "processor": [value for name, value in rows if name in {"processor", "vendor_id", "model name"}],
        "processor_count": sold, "processor_cores": cores if sockets else 1, "processor_threads_per_core": threads,
        "processor_vcpus": threads * sold * cores if sockets else count, "processor_nproc": int(usable) if usable.isdigit() else count,
        "flags": next((value.split() for name, value in rows if name == "flags"), []),
    }  # fmt: skip


def _mounts(parts: Mapping[str, Section], facts: dict[str, Any]) -> None:
    space = {words[5]: words for line in parts.get("space", ())[1:] if len(words := line.split()) > 5}
    found = []
    for line in parts.get("mounts", ()):
        device, mount, kind, options = (*line.split(), "", "", "", "")[:4]
        if kind in PSEUDO or not device.startswith(("/", "\\")):
            continue
        sizes = space.get(mount)
        total, free = (int(sizes[1]) * KIB, int(sizes[3]) * KIB) if sizes and sizes[1].isdigit() else (0, 0)
        found.append(
            {"device": device, "mount": mount, "fstype": kind, "options": options, "size_total": total, "size_available": free}
        )
    facts["mounts"] = found


def _network(parts: Mapping[str, Section], facts: dict[str, Any]) -> None:
    names: list[str] = []
    for line in parts["links"]:
        found = re.match(r"\d+: ([^:@]+)(?:@\S+)?: <([^>]*)>(?: mtu (\d+))?", line)
        name = found[1] if found else line.strip()
        names.append(name)
        mac = re.search(r"link/\w+ ([0-9a-f:]{17})", line)
        card: dict[str, Any] = {"device": name, "active": bool(found and "LOWER_UP" in found[2].split(","))}
        card |= {"mtu": int(found[3])} if found and found[3] else {}
        card |= {"macaddress": mac[1]} if mac and name != "lo" else {}
        card["type"] = "loopback" if name == "lo" else "ether"
        facts[_fact_name(name)] = card
    four, six = _addresses(parts.get("addresses", []), facts)
    facts |= {"interfaces": names, "all_ipv4_addresses": four, "all_ipv6_addresses": six}
    facts["default_ipv4"] = _default(_first(parts, "route4"), facts, "ipv4")
    facts["default_ipv6"] = _default(_first(parts, "route6"), facts, "ipv6")


def _fact_name(interface: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", interface)


def _addresses(lines: Section, facts: dict[str, Any]) -> tuple[list[str], list[str]]:
    four: list[str] = []
    six: list[str] = []
    for line in lines:
        words = line.split()
        if len(words) < 4 or words[2] not in {"inet", "inet6"}:
            continue
        card = facts.setdefault(_fact_name(words[1].partition("@")[0]), {"device": words[1]})
        address = ipaddress.ip_interface(words[3])
        if words[2] == "inet":
            entry = {"address": str(address.ip), "netmask": str(address.netmask), "network": str(address.network.network_address),
                     "prefix": str(address.network.prefixlen)}  # fmt: skip
            entry["broadcast"] = words[words.index("brd") + 1] if "brd" in words else ""
            if "ipv4" in card:
                card.setdefault("ipv4_secondaries", []).append(entry)
            else:
                card["ipv4"] = entry
            four += [] if address.ip.is_loopback else [str(address.ip)]
        else:
            scope = words[words.index("scope") + 1] if "scope" in words else ""
            card.setdefault("ipv6", []).append(
                {"address": str(address.ip), "prefix": str(address.network.prefixlen), "scope": scope}
            )
            six += [] if address.ip.is_loopback else [str(address.ip)]
    return four, six


def _default(line: str, facts: Mapping[str, Any], version: str) -> dict[str, Any]:
    words = line.split()

    def after(word: str) -> str:
        return words[words.index(word) + 1] if word in words[:-1] else ""

    interface, source = after("dev"), after("src")
    if not interface or not source:
        return {}
    card = facts.get(_fact_name(interface), {})
    found = {"interface": interface, "address": source, "gateway": after("via"), "type": card.get("type", "unknown")}
    found |= {name: card[name] for name in ("mtu", "macaddress") if name in card}
    if version == "ipv4":
        return {**found, "alias": interface, **{name: value for name, value in card.get("ipv4", {}).items() if name != "address"}}
    own: dict[str, Any] = next((each for each in card.get("ipv6", ()) if each["address"] == source), {})
    return {**found, **own}


def _virtual(words: Section, facts: dict[str, Any]) -> None:
    guest = [word for word in words if word in {"docker", "podman", "wsl"}]
    kinds = [*guest, *(["container"] if {"docker", "podman"} & set(guest) else [])]
    kind = guest[0] if guest else "kvm" if "hypervisor" in words else ""
    facts |= {
        "virtualization_type": kind or "NA", "virtualization_role": "guest" if kind else "NA",
        "virtualization_tech_guest": kinds or ([kind] if kind else []), "virtualization_tech_host": [],
    }  # fmt: skip
