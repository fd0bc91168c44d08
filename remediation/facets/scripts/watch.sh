# Samples the machine's load in the background into a file until stopped or timed out. Arguments: "start", a random word and the time
# limit in seconds; or "stop" and that word, which prints the samples and removes the file.
# Lines: "cpu" and the ticks of /proc/stat, "gpu" and a percentage.
LC_ALL=C; export LC_ALL
case $2 in *[!0-9a-f]* | "") exit 2 ;; esac
file=${TMPDIR:-/tmp}/remediation-watch.$2
case $1 in
  start)
    umask 077
    set -C # a file or a link that exists is not written
    : > "$file" || exit 1
    set +C
    # sample once before the background process starts: a quick request may end before that
    sed -n '1s/^cpu */cpu /p' /proc/stat >> "$file"
    (
      end=$(($(date +%s) + $3))
      while [ -e "$file" ] && [ "$(date +%s)" -lt "$end" ]; do
        nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits 2>/dev/null | sed 's/^/gpu /'
        sleep 0.25
        sed -n '1s/^cpu */cpu /p' /proc/stat
      done >> "$file"
    ) > /dev/null 2>&1 < /dev/null &
    ;;
  stop)
    [ -f "$file" ] && [ ! -L "$file" ] && [ -O "$file" ] || exit 1
    sed -n '1s/^cpu */cpu /p' /proc/stat >> "$file"
    cat "$file" && rm -f "$file"
    ;;
  *) exit 2 ;;
esac
