# F90: ending by SIGTERM, SIGINT, SIGHUP, fusermount3 -u and -uz, idle and under
# writes: no hang, no stuck mount, what was closed before is there.
. "$(dirname "$0")/lib.sh"

# Close files until the mount ends; names that were closed go to $T/acked.  The
# directory "in" is in the mount only, so nothing goes below the mount point.
writer()
{
	local i=0
	# dd, because it reports a close that failed
	while echo "content $1 $i" | dd of="$MNT/in/w$1.$i" status=none 2>/dev/null; do
		echo "w$1.$i content $1 $i" >>"$T/acked"
		i=$((i + 1))
	done
}

check_acked()
{
	local name text
	while read -r name text; do
		[ "$(cat "$MNT/in/$name" 2>&1)" = "$text" ] || fail "$1: $name is not what was closed"
	done <"$T/acked"
}

ended()
{
	vs_wait 60 vs_gone "$1" || fail "$2: the daemon does not end"
	vs_mounted && fail "$2: still mounted"
	[ ! -e "$DATA/veristore.pid" ] || fail "$2: no orderly end: $(tail -n3 "$DATA/veristore.log")"
	return 0
}

for sig in TERM INT HUP; do
	vs_mount
	echo "$sig" >"$MNT/$sig"
	pid=$(vs_pid)
	kill "-$sig" "$pid"
	ended "$pid" "$sig"
done
vs_mount
for sig in TERM INT HUP; do
	[ "$(cat "$MNT/$sig")" = "$sig" ] || fail "file of $sig"
done
tail -n 3 "$DATA/veristore.log" | grep -q 'VS2001' || fail "the last end was not in order"
vs_unmount

for how in TERM unmount lazy; do
	: >"$T/acked"
	vs_mount
	pid=$(vs_pid)
	mkdir -p "$MNT/in"
	writers=
	for i in 1 2; do
		writer "$how$i" &
		writers="$writers $!"
	done
	sleep 1
	case $how in
	TERM) kill -TERM "$pid" ;;
	unmount)
		# busy while a file is open, so it may take a few attempts
		vs_wait 20 fusermount3 -u "$MNT" 2>/dev/null || {
			kill $writers
			fusermount3 -u "$MNT" || fail "unmount"
		}
		;;
	lazy) fusermount3 -uz "$MNT" || fail "lazy unmount" ;;
	esac
	# a lazy unmount is one for new openings; it ends when the last user left
	wait $writers
	ended "$pid" "$how"
	vs_mount
	[ -s "$T/acked" ] || fail "$how: nothing was written"
	check_acked "$how"
	vs_scrub_clean
	vs_unmount
done

# a lazy unmount with an open file: it lives until the file is closed
vs_mount
pid=$(vs_pid)
exec 5>"$MNT/held"
echo one >&5
fusermount3 -uz "$MNT" || fail "lazy unmount"
echo two >&5 || fail "the open file died with the lazy unmount"
exec 5>&-
ended "$pid" "lazy with an open file"
vs_mount
[ "$(cat "$MNT/held")" = "one
two" ] || fail "held: $(cat "$MNT/held")"
vs_unmount

# SIGTERM with an open file ends all the same
vs_mount
pid=$(vs_pid)
exec 5>"$MNT/open"
echo text >&5
kill -TERM "$pid"
vs_wait 60 vs_gone "$pid" || fail "SIGTERM with an open file: does not end"
exec 5>&-
vs_mount
vs_scrub_clean
vs_unmount
