# Restart the machine after some seconds, so that this answer still goes out. Arguments: seconds, a message for who is logged in.
[ "$(id -u)" = 0 ] || { echo "only root may restart this machine" >&2; exit 1; }
[ -z "$2" ] || wall "$2" 2>/dev/null
(sleep "$1"; systemctl reboot || shutdown -r now || reboot) >/dev/null 2>&1 </dev/null &
exit 0
