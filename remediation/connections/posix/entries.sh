# Make a folder, move a file, or remove one. Arguments: a verb and paths. walk.sh stands before this.
#   make FOLDER    make a folder and those above it; does nothing where it is there
#   move FILE TO   move a file to a name that is not there
#   remove FILE    remove a file; does nothing where it is not there
verb=$1; start=$(pwd -P)
case $verb in
  make) walk "$2/entry" make ;;
  move)
    walk "$3" keep
    to=$name
    [ ! -e "./$to" ] && [ ! -L "./$to" ] || fail "$3: File exists"
    exec 9<. # the folder itself, whatever its name leads to by now
    cd "$start" && walk "$2" keep
    [ -e "./$name" ] || [ -L "./$name" ] || fail "$2: No such file or directory" 44
    mv -n -T "./$name" "/proc/self/fd/9/$to" || exit 1
    [ ! -e "./$name" ] && [ ! -L "./$name" ] || fail "$3: File exists"
    ;;
  remove)
    (walk "$2" keep && rm -f "./$name") || { code=$?; [ "$code" = 44 ] || exit "$code"; }
    ;;
esac
