# Restarts the machine after a delay, so that the answer is still sent. Arguments: seconds, a message for logged-in users.
[ "$(id -u)" = 0 ] || { echo "only root may restart this machine" >&2; exit 1; }
[ -z "$2" ] || wall "$2" 2>/dev/null
(sleep "$1"; systemctl reboot || shutdown -r now || reboot) >/dev/null 2>&1 </dev/null &
exit 0
