# The processes: clock ticks per second, boot time, the output of ps, and each process's start in ticks after boot.
LC_ALL=C; export LC_ALL
echo "hz $(getconf CLK_TCK 2>/dev/null || echo 100)"
grep '^btime' /proc/stat
ps -e -ww -o pid=,ppid=,user:64=,args= 2>/dev/null | sed 's/^/ps /'
for each in /proc/[0-9]*; do
  read -r line < "$each/stat" && echo "stat $line"
done 2>/dev/null
# one program for all links: one for each would take a second on a host with many processes
ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n 's|^[^/]*/proc/\([0-9]*\)/exe -> |exe \1 |p'
exit 0
