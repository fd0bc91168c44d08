# How busy the machine is, into a file, in the background, until it is told to stop or the time is over. Arguments: "start" and the most
# seconds, which prints the file's name; or "stop" and that name, which prints what was gathered and leaves nothing behind.
# Lines: "cpu" and the ticks of /proc/stat, "gpu" and a percentage.
LC_ALL=C; export LC_ALL
case $1 in
  start)
    umask 077
    file=$(mktemp "${TMPDIR:-/tmp}/remediation-watch.XXXXXX") || exit 1
    # the first look before anything is in the background: a quick request may be over before that has begun
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
