# What serves Ollama: the running servers, the systemd units that mention it, and the files of those units. Read only.
LC_ALL=C; export LC_ALL
read_by_ollama='^(OLLAMA_|CUDA_|NVIDIA_|GPU_|ROCR_|HIP_|HSA_|GGML_|LLAMA_ARG_|LD_LIBRARY_PATH=|HOME=)'
secret='^[A-Z0-9_]*(KEY|TOKEN|SECRET|PASSWORD)[A-Z0-9_]*='
case $(cat /proc/version 2>/dev/null) in *[Mm]icrosoft*) echo "wsl yes" ;; esac
units=
for each in /proc/[0-9]*; do
  read -r name < "$each/comm" || continue
  [ "$name" = ollama ] || continue
  pid=${each#/proc/}
  tr '\0' '\n' < "$each/cmdline" | sed -n '2,4p' | grep -qxE 'serve|start' || continue
  echo "server $pid $(stat -c %U "$each") $(readlink "$each/exe")"
  # where the hierarchy of version 1 is the one in use, that of version 2 shows the root
  group=$(sed -n -e 's/^0:://p' -e 's/^[0-9]*:name=systemd://p' "$each/cgroup" | grep -vx / | tail -n 1)
  echo "group $pid $group"
  case $group in
    */docker/*|*/docker-*|*/libpod*|*/kubepods*|*/containerd*) ;;
    */user@*.service/*.service) unit=${group##*/}; echo "own $pid $unit" ;;
    *.service) unit=${group##*/}; echo "of $pid $unit"; units="$units $unit" ;;
  esac
  log=$(readlink "$each/fd/2") && [ -f "$log" ] && echo "log $pid $log"
  if [ -r "$each/environ" ] && variables=$(tr '\0' '\n' < "$each/environ"); then
    echo "readable $pid"
    printf '%s\n' "$variables" | grep -E "$read_by_ollama" | grep -vE "$secret" | sed "s/^/env $pid /"
  fi
done 2>/dev/null
command -v systemctl >/dev/null 2>&1 || exit 0
listed=$({ systemctl list-units --all --plain --no-legend --no-pager --type=service '*ollama*'
  systemctl list-unit-files --no-legend --no-pager --type=service '*ollama*'; } 2>/dev/null | awk '{ print $1 }')
for unit in $(printf '%s\n' $units $listed | awk 'NF && !seen[$0]++' | head -n 6); do
  case $unit in *@.service) continue ;; esac
  shown=$(systemctl show "$unit" --no-pager --property=LoadState,ActiveState,MainPID,FragmentPath,DropInPaths,Environment,EnvironmentFiles,NeedDaemonReload 2>/dev/null) || continue
  echo "unit $unit"
  printf '%s\n' "$shown" | grep -v '^Environment=' | sed 's/^/show /'
  # systemd knows the settings in files that this login may not read
  printf '%s\n' "$shown" | sed -n 's/^Environment=//p' | xargs -n 1 printf '%s\n' 2>/dev/null |
    grep -E "$read_by_ollama" | grep -vE "$secret" | sed 's/^/given /'
  systemctl cat "$unit" --no-pager 2>/dev/null | sed 's/^/cat /'
  printf '%s\n' "$shown" | sed -n 's/^EnvironmentFiles=\(.*\) (ignore_errors=.*$/\1/p' | while read -r path; do
    [ -r "$path" ] && { echo "envfile $path"; grep -vE "$secret" "$path" | sed 's/^/line /'; }
  done
done
exit 0
