"""Facts from the answer of ``scripts/facts.ps1``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from remediation.facets.facts.posix import times_of
from remediation.model.text.digits import is_whole

KIB = 1024


def facts_from_probe(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts in the probe's answer. What Windows did not say is missing."""
    version = str(value.get("Version") or "")
    name = str(value.get("Hostname") or "")
    domain = str(value.get("Domain") or "")
    ps = str(value.get("PSVersion") or "")
    number = ps.partition(".")[0]
    facts: dict[str, Any] = {
        "os_family": "Windows", "system": "Win32NT", "distribution": value.get("Caption"), "os_name": value.get("Caption"),
        "distribution_version": version, "distribution_major_version": version.partition(".")[0], "kernel": version,
        "os_product_type": value.get("ProductType"), "architecture": value.get("Architecture"), "hostname": name,
        "nodename": f"{name}.{domain}" if domain else name, "fqdn": f"{name}.{domain}" if domain else name, "domain": domain,
        "machine_id": value.get("MachineId"), "powershell_version": int(number) if is_whole(number) else None,
        "user_id": value.get("User"), "user_dir": value.get("UserProfile"), "env": dict(value.get("Environment") or {}),
        "system_vendor": value.get("Manufacturer"), "product_name": value.get("Model"),
        "processor": value.get("Processors"), "processor_count": value.get("Sockets"), "processor_cores": value.get("Cores"),
        "processor_vcpus": value.get("LogicalProcessors"), "virtualization_type": None,
    }  # fmt: skip
    total, free = value.get("TotalVisibleMemorySize"), value.get("FreePhysicalMemory")
    facts["memtotal_mb"] = int(total) // KIB if total else None
    facts["memfree_mb"] = int(free) // KIB if free else None
    if value.get("Now") is not None:
        offset = timedelta(minutes=float(value.get("OffsetMinutes") or 0))
        now = datetime.fromtimestamp(float(value["Now"]), timezone(offset))
        facts["date_time"] = times_of(now, str(value.get("Zone") or "UTC"), f"{now:%z}")
        if value.get("LastBootUpTime") is not None:
            facts["uptime_seconds"] = int(float(value["Now"]) - float(value["LastBootUpTime"]))
            facts["lastboot"] = str(datetime.fromtimestamp(float(value["LastBootUpTime"]), timezone(offset)))
    addresses = [str(each) for each in value.get("Addresses") or () if each]
    facts["ip_addresses"] = addresses
    facts["all_ipv4_addresses"] = [each for each in addresses if ":" not in each]
    facts["all_ipv6_addresses"] = [each for each in addresses if ":" in each]
    first = facts["all_ipv4_addresses"][:1]
    facts["default_ipv4"] = {"address": first[0]} if first else {}
    return {name: each for name, each in facts.items() if each is not None}
