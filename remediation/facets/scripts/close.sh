# Asks a process tree to end, waits, and kills it with force. Arguments: pid, start time (hundredths of a second, Unix time),
# grace period (seconds), 1 to force. Prints: gone, polite, forced, still-there, or own for the caller itself and its parents.
LC_ALL=C; export LC_ALL
pid=$1; started=$2; grace=$3; force=$4
hz=$(getconf CLK_TCK 2>/dev/null || echo 100)
boot=$(sed -n 's/^btime //p' /proc/stat)

# PIDs are reused, so the start time must match too. A zombie has ended.
same() {
  read -r line 2>/dev/null < "/proc/$pid/stat" || return 1
  set -- ${line##*) }
  [ "$1" != Z ] && [ "$1" != X ] || return 1
  shift 19
  difference=$((boot * 100 + $1 * 100 / hz - started))
  [ "$difference" -ge -5 ] && [ "$difference" -le 5 ]
}

tree() {
  found=$1; rest=$1
  while [ -n "$rest" ]; do
    next=
    for parent in $rest; do
      next="$next $(ps -e -o pid=,ppid= | while read -r child its; do [ "$its" = "$parent" ] && printf '%s ' "$child"; done)"
    done
    rest=$(echo $next); found="$found $rest"
  done
  echo $found
}

same || { echo gone; exit 0; }
all=$(tree "$pid")
case " $all " in *" $$ "*) echo own; exit 0 ;; esac
kill -TERM $all 2>/dev/null || kill -TERM "$pid" || exit 1
left=$((grace * 10))
while same; do
  [ "$left" -gt 0 ] || break
  sleep 0.1
  left=$((left - 1))
done
same || { echo polite; exit 0; }
[ "$force" = 1 ] || { echo still-there; exit 0; }
kill -KILL $(tree "$pid") 2>/dev/null
left=30
while same && [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
if same; then echo still-there; else echo forced; fi
