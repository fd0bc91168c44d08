# Reads or changes a service. Arguments: a verb, the service, and "user" for a service of this user. Exit code 4: there is none.
#   status                 `manager systemd` and systemd's properties, or `manager sysv` with running and enabled as yes or no
#   start, stop, restart, reload, enable, disable, mask, unmask
LC_ALL=C; export LC_ALL
verb=$1; name=$2; user=
[ "$3" != user ] || user=--user
if [ -d /run/systemd/system ] || systemctl $user show-environment >/dev/null 2>&1; then
  if [ "$verb" = status ]; then
    echo "manager systemd"
    exec systemctl $user --no-pager show -- "$name"
  fi
  exec systemctl $user --no-ask-password --no-pager "$verb" -- "$name"
fi
script=/etc/init.d/${name%.service}; short=${name%.service}
[ -x "$script" ] || exit 4
links() { ls /etc/rc[2345].d/S[0-9][0-9]"$short" >/dev/null 2>&1; }
case $verb in
  status)
    echo "manager sysv"
    if "$script" status >/dev/null 2>&1; then echo "running yes"; else echo "running no"; fi
    if links; then echo "enabled yes"; else echo "enabled no"; fi
    ;;
  enable | disable)
    if command -v update-rc.d >/dev/null; then
      [ "$verb" = disable ] || update-rc.d "$short" defaults || exit 1
      exec update-rc.d "$short" "$verb"
    fi
    if [ "$verb" = enable ]; then exec chkconfig "$short" on; else exec chkconfig "$short" off; fi
    ;;
  mask | unmask) echo "this host has no systemd, which masks services" >&2; exit 1 ;;
  *) exec "$script" "$verb" ;;
esac
