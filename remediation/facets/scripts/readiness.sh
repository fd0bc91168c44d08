# The prerequisites of a repair, one name and value per line; missing ones are omitted. Read only.
LC_ALL=C; export LC_ALL
echo "groups $(id -nG)"
for socket in /var/run/docker.sock /run/docker.sock; do
  [ -S "$socket" ] || continue
  [ -w "$socket" ] && echo "socket writable" || echo "socket closed"
  break
done
sed -n 's/^NVRM version:.*Module *\(for [^ ]* *\)*\([0-9][0-9.]*\).*/module \2/p' /proc/driver/nvidia/version 2>/dev/null
for tool in nvidia-ctk nvidia-container-cli nvidia-container-runtime-hook; do
  command -v "$tool" >/dev/null 2>&1 && { echo "toolkit $tool"; break; }
done
for tool in curl systemctl docker ollama; do
  command -v "$tool" >/dev/null 2>&1 && echo "program $tool"
done
if command -v systemctl >/dev/null 2>&1; then
  for unit in docker ollama; do
    [ "$(systemctl show -p LoadState --value "$unit.service" 2>/dev/null)" = loaded ] && echo "unit $unit $(systemctl is-active "$unit.service" 2>/dev/null)"
  done
fi
exit 0
