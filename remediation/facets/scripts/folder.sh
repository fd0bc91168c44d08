# Lists a folder, one entry per line: size, modification time (Unix time), type, name. Argument: the folder. Exit code 2: not a folder.
LC_ALL=C; export LC_ALL
[ -d "$1" ] || exit 2
cd "$1" || exit 1
for entry in * .[!.]* ..?*; do
  [ -e "$entry" ] || [ -L "$entry" ] || continue
  stat -c '%s %Y %F|%n' -- "$entry"
done
