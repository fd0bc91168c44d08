# Replace a file as a whole. Arguments: its path, the number of bytes, the path of a backup or "". The content comes on stdin.
# Exit code 44: the folder does not exist; 45: a symbolic link that is not followed.
#
# Other users may own folders on the way, and rename or replace whatever lies in them at any moment. So each folder is entered as
# the working directory and compared with the name it was entered by, and the content is staged in a directory that only we can
# enter: nobody can read it before it has its final owner and mode, or put a link in its place.
LC_ALL=C; export LC_ALL
me=$(id -u); mask=$(umask)
umask 077
strangers=; staged=; inside=

fail() { printf '%s\n' "$1" >&2; exit "${2:-1}"; }

# Enter the folder of path $1 and set `name` to the last part. A link as the last part is followed unless $2 is "keep".
walk() {
  rest=$1; links=0; strangers=
  case $rest in /*) cd / || exit 1 ;; esac
  while :; do
    while [ "${rest#/}" != "$rest" ]; do rest=${rest#/}; done
    part=${rest%%/*}
    case $rest in */*) after=${rest#*/} ;; *) after= ;; esac
    case $part in '' | . | ..) [ -n "$after" ] || fail "Is a directory" ;; esac
    if [ -z "$after" ] && [ "${2:-}" = keep ]; then name=$part; break; fi
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
    if ! cd -P "./$part" 2>/dev/null; then
      [ -e "./$part" ] || exit 44
      [ -d "./$part" ] || fail "Not a directory: ${here%/}/$part"
      fail "Permission denied: ${here%/}/$part"
    fi
    case $part in . | ..) ;; *) [ "$(pwd -P)" = "${here%/}/$part" ] || fail "${here%/}/$part changed while the file was being written" ;; esac
    rest=$after
  done
  # A link of another user is followed only to what is that user's own: there they could write by themselves.
  for owner in $strangers; do
    [ "$owner" = "$(stat -c %u .)" ] || [ "$owner" = "$(stat -c %u "./$name" 2>/dev/null)" ] ||
      fail "a symbolic link of the user with the ID $owner leads to $(pwd -P)/$name, which is not that user's: name the file itself" 45
  done
}

# A subshell has no traps until it sets its own.
guard() { trap clean EXIT; trap 'exit 1' HUP INT TERM PIPE; }

clean() {
  if [ -n "$inside" ]; then rm -f ./new; cd ..; fi
  [ -z "$staged" ] || rmdir "$staged" 2>/dev/null
}

# Put stdin at ./$name. Arguments: bytes or "" (any number), owner:group or "", mode, time of change or "".
put() {
  guard
  here=$(pwd -P)
  staged=$(mktemp -d ./.remediation-part.XXXXXXXXXX) || exit 1
  cd -P "$staged" || exit 1
  [ "$(pwd -P)" = "${here%/}/${staged#./}" ] || { staged=; fail "$here changed while the file was being written"; }
  case $(stat -c '%u %a' .) in "$me 700" | "$me "?700) ;; *) staged=; fail "$here changed while the file was being written" ;; esac
  inside=1
  cat >new || exit 1
  [ -z "$1" ] || [ "$(wc -c <new)" -eq "$1" ] || fail "not all of the file arrived"
  if [ -n "$2" ]; then chown "$2" new 2>/dev/null || chgrp "${2#*:}" new 2>/dev/null || :; fi
  chmod "$3" new || exit 1
  [ -z "$4" ] || touch -d "@$4" new || exit 1
  sync new 2>/dev/null
  mv -f -T new "../$name" || exit 1
  cd .. && inside= && rmdir "$staged"
  staged=
}

guard
start=$(pwd -P)
walk "$1"
owner=; mode=$(printf %o $((0644 & ~0$mask)))
if [ -e "./$name" ]; then
  [ -f "./$name" ] && [ ! -L "./$name" ] || fail "not a regular file"
  kept=$(stat -c '%u:%g %a' "./$name") || exit 1
  owner=${kept% *}; mode=${kept#* }
  if [ -n "$3" ]; then
    # Owner and mode of what was opened, not of the name: the name may belong to another file by now.
    (
      file=$name
      exec <"./$file" || exit 1
      of=$(stat -L -c '%u:%g %a %Y' /dev/stdin) || exit 1
      cd "$start" && walk "$3" keep
      owner=${of%% *}; of=${of#* }
      put "" "$owner" "${of% *}" "${of#* }"
    ) || { code=$?; printf '%s\n' "the backup $3 could not be written" >&2; exit "$code"; }
  fi
fi
put "$2" "$owner" "$mode" ""
