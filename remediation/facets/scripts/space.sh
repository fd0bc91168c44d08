# The space of the file system with a path or its nearest existing parent, as printed by df in KiB. Argument: the path.
LC_ALL=C; export LC_ALL
path=$1
while [ ! -e "$path" ] && [ "$path" != / ] && [ "$path" != . ]; do path=$(dirname -- "$path"); done
df -P -k -- "$path"
