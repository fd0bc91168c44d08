# Enters folders that other users may own, rename or replace at any time: each one becomes the working directory and is compared with
# the name it was entered by. Operations on names in the working directory then cannot affect other folders.
LC_ALL=C; export LC_ALL
me=$(id -u); mask=$(umask)
strangers=

fail() { printf '%s\n' "$1" >&2; exit "${2:-1}"; }

# Enters the folder of path $1 and sets `name` to the last part. A link as the last part is followed unless $2 is "keep" or "make";
# "make" creates missing folders.
walk() {
  rest=$1; links=0; strangers=
  case $rest in /*) cd / || exit 1 ;; esac
  while :; do
    while [ "${rest#/}" != "$rest" ]; do rest=${rest#/}; done
    part=${rest%%/*}
    case $rest in */*) after=${rest#*/} ;; *) after= ;; esac
    case $part in '' | . | ..) [ -n "$after" ] || fail "Is a directory" ;; esac
    if [ -z "$after" ] && [ -n "${2:-}" ]; then name=$part; break; fi
    if [ -L "./$part" ]; then
      links=$((links + 1))
      [ "$links" -le 40 ] || fail "Too many levels of symbolic links"
      owner=$(stat -c %u "./$part") && target=$(readlink "./$part") || exit 1
      [ "$owner" = 0 ] || [ "$owner" = "$me" ] || strangers="$strangers $owner"
      case $target in /*) cd / || exit 1 ;; esac
      rest=$target${after:+/$after}
      continue
    fi
    if [ -z "$after" ]; then name=$part; break; fi
    here=$(pwd -P)
    if [ "${2:-}" = make ] && [ ! -e "./$part" ]; then
      led_by_strangers .
      mkdir -m "$(printf %o $((0755 & ~0$mask)))" "./$part" || exit 1
    fi
    if ! cd -P "./$part" 2>/dev/null; then
      [ -e "./$part" ] || exit 44
      [ -d "./$part" ] || fail "Not a directory: ${here%/}/$part"
      fail "Permission denied: ${here%/}/$part"
    fi
    case $part in . | ..) ;; *) [ "$(pwd -P)" = "${here%/}/$part" ] || fail "${here%/}/$part changed meanwhile" ;; esac
    rest=$after
  done
  led_by_strangers . "./$name"
}

# Another user's link is followed only to that user's own files, which that user could change anyway.
led_by_strangers() {
  for owner in $strangers; do
    own=
    for each in "$@"; do [ "$owner" != "$(stat -c %u "$each" 2>/dev/null)" ] || own=1; done
    [ -n "$own" ] || fail "a symbolic link of the user with the ID $owner leads to $(pwd -P)/$part, which is not that user's: name the file itself" 45
  done
}
