# Runs nvidia-smi repeatedly. Arguments: fields, seconds between samples, number of samples. Each sample starts with "at" and the time.
LC_ALL=C; export LC_ALL
left=$3
while [ "$left" -gt 0 ]; do
  echo "at $(date +%s.%N | sed 's/\.%N$//')"
  nvidia-smi "--query-gpu=$1" --format=csv,noheader,nounits || exit
  left=$((left - 1))
  [ "$left" -eq 0 ] || sleep "$2"
done
