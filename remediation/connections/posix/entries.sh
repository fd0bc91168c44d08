# Creates a folder, moves a file, or removes one. Arguments: a verb and paths. Appended to walk.sh.
#   make FOLDER    create a folder and its parents, unless it exists
#   move FILE TO   move a file to a name that does not exist
#   remove FILE    remove a file, if it exists
#   tree FOLDER    remove a folder and what is in it, if it exists
#   empty FOLDER   remove a folder that is empty, if it exists
#   mode PATH MODE, owner PATH USER[:GROUP]   links are followed
#   link PATH TARGET, hard PATH FILE          replace a link or file at PATH
verb=$1; start=$(pwd -P)
case $verb in
  make) walk "$2/entry" make ;;
  move)
    walk "$3" keep
    to=$name
    [ ! -e "./$to" ] && [ ! -L "./$to" ] || fail "$3: File exists"
    exec 9<. # the folder itself, even if its name changes
    cd "$start" && walk "$2" keep
    [ -e "./$name" ] || [ -L "./$name" ] || fail "$2: No such file or directory" 44
    mv -n -T "./$name" "/proc/self/fd/9/$to" || exit 1
    [ ! -e "./$name" ] && [ ! -L "./$name" ] || fail "$3: File exists"
    ;;
  remove)
    (walk "$2" keep && rm -f "./$name") || { code=$?; [ "$code" = 44 ] || exit "$code"; }
    ;;
  tree) (walk "$2" keep && rm -rf "./$name") || { code=$?; [ "$code" = 44 ] || exit "$code"; } ;;
  empty)
    (walk "$2" keep && { [ ! -d "./$name" ] || rmdir "./$name"; }) || { code=$?; [ "$code" = 44 ] || exit "$code"; }
    ;;
  mode) walk "$2"; chmod "00$3" "./$name" ;; # with five digits or more, chmod takes a folder's setgid bit away too
  owner) walk "$2"; chown "$3" "./$name" ;;
  link)
    walk "$2" keep
    new=.remediation-link.$$; rm -f "./$new"
    ln -s "$3" "./$new" && mv -f -T "./$new" "./$name" || { rm -f "./$new"; exit 1; }
    ;;
  hard)
    case $3 in /*) from=$3 ;; *) from=$start/$3 ;; esac
    walk "$2" keep
    new=.remediation-link.$$; rm -f "./$new"
    ln "$from" "./$new" && mv -f -T "./$new" "./$name" || { rm -f "./$new"; exit 1; }
    rm -f "./$new" # mv leaves it where both are the same file
    ;;
esac
