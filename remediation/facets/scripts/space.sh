# The space of the file system that a path, or its nearest parent that is there, lies on, as df prints it in KiB. Argument: the path.
LC_ALL=C; export LC_ALL
path=$1
while [ ! -e "$path" ] && [ "$path" != / ] && [ "$path" != . ]; do path=$(dirname -- "$path"); done
df -P -k -- "$path"
