# The Docker daemons of this host, the programs of NVIDIA's toolkit, and the kernel modules of its driver. Read only.
LC_ALL=C; export LC_ALL
for each in /proc/[0-9]*; do
  read -r name < "$each/comm" || continue
  [ "$name" = dockerd ] || continue
  pid=${each#/proc/}
  echo "daemon $pid $(stat -c '%u' "$each") $(readlink "$each/exe")"
  tr '\0' '\n' < "$each/cmdline" | sed "1d;s/^/word $pid /"
  tr '\0' '\n' < "$each/environ" | sed -n "s/^HOME=/home $pid /p"
  unit=$(sed -n -e 's/^0:://p' -e 's/^[0-9]*:name=systemd://p' "$each/cgroup" | tail -n 1)
  case $unit in *.service) echo "unit $pid ${unit##*/}" ;; esac
done 2>/dev/null
if command -v systemctl >/dev/null 2>&1; then
  echo "main $(systemctl show docker.service --property=MainPID --value --no-pager 2>/dev/null)"
fi
for tool in nvidia-ctk nvidia-container-cli nvidia-container-runtime nvidia-container-runtime-hook nvidia-cdi-hook; do
  command -v "$tool" >/dev/null 2>&1 && echo "tool $tool"
done
command -v nvidia-ctk >/dev/null 2>&1 && echo "release $(nvidia-ctk --version 2>/dev/null | head -n 1)"
config=/etc/nvidia-container-runtime/config.toml
[ -r "$config" ] && sed 's/^/toml /' "$config"
lsmod 2>/dev/null | sed -n 's/^\(nvidia[a-z_]*\) *[0-9]* *\([0-9]*\) *\(.*\)$/module \1 \2 \3/p'
exit 0
