# Copies paths from the volume at /from to the one at /to. Arguments: paths relative to the volume's root; missing ones are
# skipped. Existing files are kept: large ones by size, small ones (a manifest may change without changing its size) by content.
# Prints the number of copied bytes. Runs in any image that has sh, ls, cat, cp, mv and mkdir.
set -u
LC_ALL=C; export LC_ALL
copied=0

size() { set -- $(ls -ln "$1"); echo "$5"; }

same() { [ "$3" -ge 1048576 ] || { text=$(cat "$1") && [ "$text" = "$(cat "$2")" ]; }; }

one() {
  if [ -d "$1" ] && [ ! -L "$1" ]; then
    mkdir -p "$2" || exit 1
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
      if [ -e "$entry" ] || [ -L "$entry" ]; then one "$entry" "$2/${entry##*/}"; fi
    done
    return
  fi
  if [ -L "$1" ]; then
    [ -e "$2" ] || [ -L "$2" ] || cp -P "$1" "$2" || exit 1
    return
  fi
  bytes=$(size "$1")
  if [ -f "$2" ] && [ "$(size "$2")" = "$bytes" ] && same "$1" "$2" "$bytes"; then return; fi
  rm -f "$2.remediation-part" # it may be a link to another place
  cp -p "$1" "$2.remediation-part" && mv -f "$2.remediation-part" "$2" || exit 1
  copied=$((copied + bytes))
}

for path in "$@"; do
  [ -e "/from/$path" ] || continue
  case $path in
    */*) mkdir -p "/to/${path%/*}" || exit 1 ;;
  esac
  one "/from/$path" "/to/$path"
done
echo "$copied"
