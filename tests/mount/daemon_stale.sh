# F89: kill -9, and the next start on the same mount point takes the dead mount
# away; also several on top of each other, and through a symbolic link.
. "$(dirname "$0")/lib.sh"

vs_mount
for i in 1 2 3 4 5; do
	echo "$i" >"$MNT/f$i" || fail "cannot write"
	ls -la "$MNT" >/dev/null # the kernel remembers attributes of the dead mount
	vs_kill
	vs_mounted || fail "there should be a dead mount"
	vs_mount
	for j in $(seq "$i"); do
		[ "$(cat "$MNT/f$j")" = "$j" ] || fail "f$j after kill $i"
	done
done
grep -q ' VS1006 ' "$DATA/veristore.log" || fail "the dead mount is not in the log"
grep -q ' VS2003 ' "$DATA/veristore.log" || fail "the recovery is not in the log"
[ "$(grep -c " $MNT " /proc/self/mountinfo)" = 1 ] || fail "mounts are left on top of each other"

# at once, while the kernel may still be taking the old process apart
pid=$(vs_pid)
dd if=/dev/zero of="$MNT/big" bs=1M count=2000 status=none 2>/dev/null &
vs_wait 10 test -s "$MNT/big" || fail "big does not grow"
kill -KILL "$pid"
vs_mount
wait
[ "$(cat "$MNT/f1")" = 1 ] || fail "f1 after an immediate start"

# another mount point while the dead one stays
vs_kill
mkdir "$T/mnt2"
old=$MNT
MNT=$T/mnt2
vs_mount
[ "$(cat "$MNT/f5")" = 5 ] || fail "f5 on another mount point"
vs_unmount
MNT=$old

# through a link
ln -s mnt "$T/link"
timeout 60 veristore "$DATA" "$T/link" 2>"$T/start.err" || fail "link: $(cat "$T/start.err")"
vs_mounted || fail "not mounted through the link"
vs_kill
timeout 60 veristore "$DATA" "$T/link" 2>"$T/start.err" || fail "link again: $(cat "$T/start.err")"
[ "$(cat "$MNT/f5")" = 5 ] || fail "f5 through the link"
vs_scrub_clean

# a stopped daemon is not a dead one: said so in time, nothing taken away
pid=$(vs_pid)
kill -STOP "$pid"
vs_wait 10 grep -q '^State:.T' "/proc/$pid/status" || fail "the daemon does not stop"
timeout 60 veristore "$DATA" "$MNT" 2>"$T/stopped.err" && fail "started over a stopped daemon"
kill -CONT "$pid"
grep -q 'does not answer' "$T/stopped.err" || fail "stopped: $(cat "$T/stopped.err")"
[ "$(cat "$MNT/f5")" = 5 ] || fail "the stopped daemon's mount suffered"
vs_unmount
