# Creates a folder, moves a file, or removes one. Arguments: a verb and paths. Appended to walk.sh.
#   make FOLDER    create a folder and its parents, unless it exists
#   move FILE TO   move a file to a name that does not exist
#   remove FILE    remove a file, if it exists
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
esac
