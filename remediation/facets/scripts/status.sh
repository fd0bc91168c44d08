# What is at a path. Arguments: the path; "follow" to follow a link; a checksum program or ""; "details" for type and attributes.
# Exit code 2: there is nothing. First line: numbers separated by |. Then lines of a word and a text.
LC_ALL=C; export LC_ALL
if [ ! -e "$1" ] && [ ! -L "$1" ]; then
  # a folder that may not be entered looks the same
  said=$(stat -- "$1" 2>&1) && exit 1
  case $said in *"ermission denied"*) printf '%s\n' "$said" >&2; exit 1 ;; esac
  exit 2
fi
follow=
if [ "$2" = follow ] && [ -e "$1" ]; then follow=-L; fi
stat $follow -c '%f|%u|%g|%s|%i|%d|%h|%.9X|%.9Y|%.9Z|%b|%o|%t|%T|%U|%G' -- "$1" || exit 1
flags=
[ -r "$1" ] && flags=r; [ -w "$1" ] && flags=${flags}w; [ -x "$1" ] && flags=${flags}x
printf 'may %s\n' "$flags"
if [ -z "$follow" ] && [ -L "$1" ]; then
  printf 'target %s\n' "$(readlink -- "$1")"
  printf 'source %s\n' "$(readlink -f -- "$1")"
elif [ -f "$1" ] && [ -r "$1" ]; then
  [ -z "$3" ] || printf 'sum %s\n' "$("$3" <"$1" | cut -d' ' -f1)"
fi
[ "$4" = details ] || exit 0
printf 'mime %s\n' "$(file --mime-type --mime-encoding ${follow:+-L} -b -- "$1" 2>/dev/null)"
printf 'attr %s\n' "$(lsattr -vd -- "$1" 2>/dev/null)"
exit 0
