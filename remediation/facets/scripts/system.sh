# The machine, one name and value per line. Memory in KiB, times as Unix time.
LC_ALL=C; export LC_ALL
echo "kernel $(uname -s)"
echo "release $(uname -r)"
echo "host $(uname -n)"
echo "name $(. /etc/os-release 2>/dev/null; echo "$PRETTY_NAME")"
echo "now $(date +%s.%N | sed 's/\.%N$//')"
grep -E '^(MemTotal|MemAvailable):' /proc/meminfo
grep '^btime' /proc/stat
