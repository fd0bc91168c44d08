# Replaces a file as a whole. Arguments: its path, the number of bytes, the path of a backup or "". The content comes on stdin.
# Appended to walk.sh. Exit code 44: the folder does not exist; 45: a symbolic link that is not followed.
#
# The content is staged in a directory that only this user can enter: others cannot read it before it has its final owner and mode, or
# replace it by a link.
umask 077
staged=; inside=

# A subshell has no traps until it sets its own.
guard() { trap clean EXIT; trap 'exit 1' HUP INT TERM PIPE; }

clean() {
  if [ -n "$inside" ]; then rm -f ./new; cd ..; fi
  [ -z "$staged" ] || rmdir "$staged" 2>/dev/null
}

# Writes stdin to ./$name. Arguments: bytes or "" (any number), owner:group or "", mode, modification time or "".
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
    # owner and mode of the opened file, because its name may refer to another file now
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
