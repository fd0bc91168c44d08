# The entries of a folder, one per line: size, modified (seconds since the epoch), type, name. Argument: the folder. Code 2: there is none.
LC_ALL=C; export LC_ALL
[ -d "$1" ] || exit 2
cd "$1" || exit 1
for entry in * .[!.]* ..?*; do
  [ -e "$entry" ] || [ -L "$entry" ] || continue
  stat -c '%s %Y %F|%n' -- "$entry"
done
