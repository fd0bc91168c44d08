# The machine for `setup`: sections that begin with a line "== NAME". $1 lists the wanted subsets, each between spaces.
LC_ALL=C; export LC_ALL
part() { printf '== %s\n' "$1"; }
want() { case "$1" in *" $2 "*) return 0 ;; esac; return 1; }
part system; uname -s; uname -n; uname -r; uname -m; uname -v
part release; cat /etc/os-release 2>/dev/null
part debian; cat /etc/debian_version 2>/dev/null
if want "$1" min; then
    part fqdn; hostname -f 2>/dev/null
    part ids; id -u; id -g; id -ru; id -rg; id -un
    part passwd; getent passwd "$(id -u)" 2>/dev/null || grep "^[^:]*:[^:]*:$(id -u):" /etc/passwd 2>/dev/null
    part environment; env -0 2>/dev/null | tr '\000\n' '\n\001'
    part date; date '+%s %z %Z'
    part cmdline; cat /proc/cmdline 2>/dev/null
    part resolv; cat /etc/resolv.conf 2>/dev/null
    part init; if [ -d /run/systemd/system ]; then echo systemd; else cat /proc/1/comm 2>/dev/null; fi
    part packages; for each in apt-get dnf5 dnf yum zypper pacman apk; do command -v $each >/dev/null 2>&1 && echo $each; done
    part selinux; if command -v getenforce >/dev/null 2>&1; then getenforce; fi
    part fips; cat /proc/sys/crypto/fips_enabled 2>/dev/null
    part apparmor; if [ -d /sys/kernel/security/apparmor ]; then echo enabled; fi
    part machine_id; cat /etc/machine-id 2>/dev/null
    part bits; getconf LONG_BIT 2>/dev/null
    part python; command -v python3 && python3 --version 2>/dev/null
    part keys; for each in /etc/ssh/ssh_host_*_key.pub; do if [ -r "$each" ]; then cat "$each"; fi; done
    for each in "${2:-/etc/ansible/facts.d}"/*.fact; do
        if [ -x "$each" ]; then part "local $each"; "$each" 2>/dev/null; echo
        elif [ -r "$each" ]; then part "local $each"; cat "$each"; echo; fi
    done
fi
if want "$1" hardware; then
    part memory; cat /proc/meminfo 2>/dev/null
    part cpu; grep -E '^(processor|vendor_id|model name|physical id|core id|cpu cores|siblings|flags)' /proc/cpuinfo 2>/dev/null
    part nproc; nproc 2>/dev/null
    part uptime; cat /proc/uptime 2>/dev/null
    part load; cat /proc/loadavg 2>/dev/null
    part dmi
    for each in bios_date bios_vendor bios_version board_name board_vendor chassis_vendor product_name product_serial product_uuid product_version sys_vendor; do
        if [ -r /sys/class/dmi/id/$each ]; then printf '%s ' $each; cat /sys/class/dmi/id/$each; fi
    done
    part mounts; cat /proc/mounts 2>/dev/null
    part space; df -P -k 2>/dev/null
    part disks; for each in /sys/block/*; do if [ -r "$each/size" ]; then printf '%s %s\n' "${each##*/}" "$(cat "$each/size")"; fi; done
fi
if want "$1" network; then
    part links; ip -o link show 2>/dev/null || ls /sys/class/net 2>/dev/null
    part addresses; ip -o addr show 2>/dev/null
    part route4; ip -4 route get 8.8.8.8 2>/dev/null
    part route6; ip -6 route get 2404:6800:400a:800::1012 2>/dev/null
fi
if want "$1" virtual; then
    part virtual
    if [ -e /.dockerenv ] || [ -e /.dockerinit ]; then echo docker; fi
    if [ -e /run/.containerenv ]; then echo podman; fi
    if grep -qi microsoft /proc/sys/kernel/osrelease 2>/dev/null; then echo wsl; fi
    if grep -q '^flags.* hypervisor' /proc/cpuinfo 2>/dev/null; then echo hypervisor; fi
fi
if want "$1" gpu; then
    part gpu; nvidia-smi --query-gpu=index,name,uuid,driver_version,memory.total,memory.used --format=csv,noheader,nounits 2>/dev/null
fi
exit 0
