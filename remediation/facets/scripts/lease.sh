# Leases on a POSIX host. Arguments: a verb, the configured lease folder or "", the lease folder in use or "", and then
#   look                               list the leases
#   make NUMBER                        create a lease directory
#   write NUMBER BEFORE CLEAR...       write the lease from stdin, remove other lease directories, and list the leases
#   clear NUMBER...                    remove lease directories
# Prints lines of tab-separated words: now, own, entry, lease, made, there, gone, and refused with a path and a reason.
#
# Without a configured folder, every login has its own lease folder in /var/tmp and reads those of all others. mktemp creates it, so no
# other user can create it first, and only its owner may write there. No folder or file is used before its owner and mode have been
# checked, and each folder is first made the working directory, so that renaming or replacing it has no effect.
LC_ALL=C; export LC_ALL
verb=$1; named=$2; own=$3; shift 3
me=$(id -u)
umask 022

say() { printf '%s\t' "$@"; echo; }
refuse() { say refused "$1" "$2"; exit 0; }

# Whether users other than the owner may change the working directory. Sets `owner`.
open_to_others() {
  owner=$(stat -c '%u %a' .); bits=${owner#* }; owner=${owner% *}
  case $bits in [1357]???) return 1 ;; *[2367] | *[2367]?) return 0 ;; *) return 1 ;; esac
}

trusted() {
  open_to_others && refuse "$(pwd -P)" "other users may replace what lies in it: it needs the sticky bit (chmod +t), or nobody else's right to write"
  [ "$owner" = 0 ] || [ "$owner" = "$me" ] || refuse "$(pwd -P)" "it belongs to $(stat -c %U .), and only a folder of root or of this login is used"
}

# Enters a subdirectory of the working directory, unless it is a link or was replaced by one.
enter() {
  here=$(pwd -P)
  [ -d "./$1" ] && [ ! -L "./$1" ] && cd -P "./$1" 2>/dev/null && [ "$(pwd -P)" = "${here%/}/$1" ]
}

# Enters the configured folder, component by component; "make" creates missing ones. Returns 1 if it does not exist.
enter_named() {
  cd / || exit 1
  rest=$named
  while :; do
    while [ "${rest#/}" != "$rest" ]; do rest=${rest#/}; done
    [ -n "$rest" ] || break
    part=${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    [ "$part" != . ] || continue
    if [ ! -e "./$part" ] && [ ! -L "./$part" ]; then
      [ "$verb" = make ] || return 1
      # all logins of the host must see the same leases, but only the owner of a lease may remove it
      mkdir -m "$([ -n "$rest" ] && echo 755 || echo 1777)" "./$part" 2>/dev/null || [ -d "./$part" ] || refuse "$named" "it cannot be made: there is no right to write to $(pwd -P)"
    fi
    path=$(pwd -P); path=${path%/}/$part
    [ ! -L "./$part" ] || refuse "$path" "it is a symbolic link; name the folder that it leads to"
    enter "$part" || refuse "$path" "it is no folder that this login may enter"
  done
  trusted
}

enter_shared() {
  base=/var/tmp
  [ -d "$base" ] || base=/tmp
  cd -P "$base" 2>/dev/null || refuse "$base" "it is no folder that this login may enter"
  trusted
}

# Enters this login's own lease folder: the one in use, or the first existing one.
enter_own() {
  if [ -n "$own" ]; then cd "${own%/*}/" 2>/dev/null && enter "${own##*/}" || return 1; return; fi
  for each in remediation-lease.*; do
    (enter "$each" && ! open_to_others && [ "$owner" = "$me" ]) && enter "$each" && return
  done
  return 1
}

enter_mine() { if [ -n "$named" ]; then enter_named; else enter_shared && enter_own; fi; }

# The owner may replace the file by a link or FIFO at any time: neither is followed or waited for.
first_bytes() {
  if dd if=/dev/null iflag=nofollow,nonblock 2>/dev/null; then dd if="$1" iflag=nofollow,nonblock bs=4096 count=1 2>/dev/null
  else head -c 4096 "$1"; fi
}

# Prints the content of the lease directory $1 in the working directory; fails if another run has removed it meanwhile.
show() {
  (
    path=$(pwd -P)/$1
    enter "$1" || {
      [ -e "./$1" ] || [ -L "./$1" ] || exit 1
      # another run may have removed it and made it again
      [ ! -L "./$1" ] && [ -d "./$1" ] && (cd "./$1" 2>/dev/null) && exit 1
      say lease "${path%/*}" "$1" - "is no directory"
      exit
    }
    login=$(stat -c '%u %U' .); owner=${login% *}; login=${login#* }
    [ "$owner" != "$me" ] || login=-
    state=; text=
    if [ -L lease.json ]; then state="is a symbolic link"
    elif [ ! -e lease.json ]; then state=missing
    elif [ ! -f lease.json ]; then state="is not a regular file"
    else
      of=$(stat -c '%u %s' lease.json)
      if [ "${of% *}" != "$owner" ] && [ "${of% *}" != 0 ]; then state="belongs to another user than the directory that it lies in"
      elif [ "${of#* }" -gt 4096 ]; then state="is larger than any lease"
      elif [ ! -r lease.json ]; then state="may not be read"
      else text=$(first_bytes lease.json | tr -d '\000-\037'); fi
    fi
    # another run may have removed the file, or all of the directory, after any of these questions
    [ -e lease.json ] || [ -L lease.json ] || { state=missing; text=; }
    [ -d "$path" ] || exit 1
    say lease "${path%/*}" "$1" "$login" "$state" "$text"
  )
}

# Lists the lease directories in the working directory, and prints the newest.
list() {
  newest= entries=
  for each in [1-9]*; do
    case $each in *[!0-9]* | ??????????*) continue ;; esac
    [ -e "./$each" ] || [ -L "./$each" ] || continue
    entries="$entries $each"
    if [ -z "$newest" ] || [ "$each" -gt "$newest" ]; then newest=$each; fi
  done
  [ -z "$newest" ] || show "$newest" || { list "$1"; return; }
  [ -z "$1" ] || for each in $entries; do say entry "$each"; done
}

look() {
  say now "$(date +%s)"
  mine=
  if enter_mine; then
    mine=$(pwd -P)
    say own "$mine"
    list own
  fi
  [ -z "$named" ] || return
  enter_shared
  for folder in remediation-lease.*; do
    case $folder in *[!A-Za-z0-9.-]*) continue ;; esac # the creator of a folder chooses its name, which is printed
    [ "$(pwd -P)/$folder" = "$mine" ] || (enter "$folder" && ! open_to_others && list "")
  done
}

# Removes lease directories in the working directory.
remove() {
  for each in "$@"; do
    case $each in '' | *[!0-9]*) continue ;; esac
    [ -L "./$each" ] || rm -rf "./$each" 2>/dev/null
  done
}

case $verb in
  look) look ;;
  make)
    if [ -n "$named" ]; then enter_named; else
      enter_shared
      if ! enter_own; then
        folder=$(mktemp -d remediation-lease.XXXXXXXXXX) && chmod 755 "$folder" || refuse "$(pwd -P)" "no folder can be made there"
        enter "$folder" || refuse "$(pwd -P)/$folder" "it was replaced"
      fi
    fi
    mkdir "./$1" 2>/dev/null && { say made "$(pwd -P)"; exit 0; }
    [ -e "./$1" ] || [ -L "./$1" ] || refuse "$(pwd -P)" "this login may not write there, or the disk is full"
    say there "$(pwd -P)"
    ;;
  write)
    number=$1; before=$2; shift 2
    enter_mine && mine=$(pwd -P) && enter "$number" || { say gone; exit 0; }
    [ "$(stat -c %u .)" = "$me" ] || { say gone; exit 0; }
    [ ! -e lease.json ] || [ -f lease.json ] || refuse "$mine/$number/lease.json" "it is not a regular file"
    file=$(mktemp .lease.XXXXXXXXXX) && cat >"$file" && chmod 644 "$file" && mv -f -T "$file" lease.json || {
      rm -f "$file"
      refuse "$mine/$number" "this login may not write there, or the disk is full"
    }
    cd .. || exit 1
    [ "$before" = 0 ] || show "$before"
    remove "$@"
    look
    ;;
  clear) if enter_mine; then remove "$@"; fi ;;
esac
exit 0
