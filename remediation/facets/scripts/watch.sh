# Samples the machine's load in the background into a file until stopped or timed out. Arguments: "start" and the time limit in
# seconds, which prints the file's name; or "stop" and that name, which prints the samples and removes the file.
# Lines: "cpu" and the ticks of /proc/stat, "gpu" and a percentage.
LC_ALL=C; export LC_ALL
case $1 in
  start)
    umask 077
    file=$(mktemp "${TMPDIR:-/tmp}/remediation-watch.XXXXXX") || exit 1
    # sample once before the background process starts: a quick request may end before that
    sed -n '1s/^cpu */cpu /p' /proc/stat >> "$file"
    (
      end=$(($(date +%s) + $2))
      while [ -e "$file" ] && [ "$(date +%s)" -lt "$end" ]; do
        nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits 2>/dev/null | sed 's/^/gpu /'
        sleep 0.25
        sed -n '1s/^cpu */cpu /p' /proc/stat
      done >> "$file"
    ) > /dev/null 2>&1 < /dev/null &
    echo "$file"
    ;;
  stop)
    case $2 in */remediation-watch.??????) ;; *) exit 2 ;; esac
    sed -n '1s/^cpu */cpu /p' /proc/stat >> "$2"
    cat "$2" && rm -f "$2"
    ;;
  *) exit 2 ;;
esac
