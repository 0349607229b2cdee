# veristore-admin: finds the daemon by data directory, by mount point and from
# below the mount; every command; no daemon, a hung daemon, wrong usage, Ctrl-C,
# many at once.
. "$(dirname "$0")/lib.sh"

# ends STATUS TEXT CMD...: CMD ends with STATUS and says TEXT
ends()
{
	local want=$1 text=$2 rc
	shift 2
	timeout 60 "$@" >"$T/out" 2>&1 </dev/null
	rc=$?
	[ $rc = "$want" ] || fail "status $rc instead of $want: $* ($(cat "$T/out"))"
	grep -qF -- "$text" "$T/out" || fail "\"$text\" is not in: $(cat "$T/out") ($*)"
}
A=veristore-admin

# --- usage
ends 0 "usage:" $A --help
ends 0 "veristore-admin 0" $A --version
ends 1 "no command" $A
ends 1 "unknown command frob" $A frob
ends 1 "too many arguments" $A status now
ends 1 "--timeout" $A --timeout 0 status
ends 1 "--timeout" $A --timeout x status
ends 1 "" $A --no-such-option status
for c in status snapshot gc scrub; do
	$A --help | grep -q "^  $c " || fail "--help does not name $c"
	grep -q "^\.It Cm $c\$" "$SRC/tools/veristore-admin.8" || fail "the man page lacks $c"
done

# --- no daemon
ends 2 "no such file" $A -s "$T/nowhere" status
ends 2 "no VeriStore data directory" $A -s "$T" status
vs_mount
vs_unmount
ends 2 "no daemon runs on $DATA" $A -s "$DATA" status
vs_mount
vs_kill
ends 2 "no daemon runs on $DATA" $A -s "$DATA" status
ends 2 "no daemon runs on $DATA" $A -s "$MNT" status
ends 2 "no daemon runs on $DATA" $A -s "$MNT/below" status

# --- found in every way
vs_mount
mkdir -p "$MNT/a/b"
echo text >"$MNT/a/b/c"
ln -s "mnt/a" "$T/link"
for p in "$DATA" "$DATA/" "$MNT" "$MNT/" "$MNT/a/b" "$MNT/a/b/c" "$MNT/not/there" "$T/link" \
	"$T/../${T##*/}/data"; do
	ends 0 "healthy  $DATA on $MNT" $A -s "$p" status
done
(cd "$MNT/a/b" && exec $A status) >"$T/out" || fail "from the present directory"
(cd "$T" && exec $A -s data status) >"$T/out" || fail "by a relative path"

# --- status
$A -s "$DATA" status --json >"$T/json" || fail "--json"
for key in state role term last_index committed_index applied_index checkpoint_index log_bytes \
	log_segments live_bytes garbage_bytes cache_bytes dirty_bytes free_bytes inodes \
	scrub_finished_s uptime_s version fsync_p50_us fsync_p99_us fsync_max_us fsync_batch_mean; do
	grep -q "\"$key\": " "$T/json" || fail "--json does not have $key"
done
if command -v python3 >/dev/null; then
	python3 -c 'import json, sys; json.load(sys.stdin)' <"$T/json" || fail "not JSON"
fi
[ "$(grep -c '"last_index": 0,' "$T/json")" = 0 ] || fail "no index"

# --- work
for i in $(seq 20); do
	head -c 300000 /dev/urandom >"$MNT/big$i"
done
rm "$MNT"/big1*
ends 0 "checkpoint at index" $A -s "$DATA" snapshot
ends 0 '"index": ' $A -s "$DATA" snapshot --json
ends 0 "chunks freed" $A -s "$DATA" gc
ends 0 '"freed_bytes": ' $A -s "$DATA" --json gc
ends 0 "clean: " $A -s "$MNT" scrub
ends 0 '"scrub_errors": 0' $A -s "$DATA" scrub --json
$A -s "$DATA" status | grep -q 'last scrub   [0-9].* 0 errors' || fail "the scrub is not in the status"
grep -q ' info admin VS4003 scrub ended: success' "$DATA/veristore.log" || fail "scrub is not in the log"
[ "$(cat "$MNT/a/b/c")" = text ] || fail "content"

# --- a closed pipe, a full disk
$A -s "$DATA" status | true
[ "${PIPESTATUS[0]}" -le 141 ] || fail "closed pipe"
if [ -e /dev/full ]; then
	$A -s "$DATA" status >/dev/full 2>"$T/out" && fail "/dev/full: success"
	grep -q 'cannot be written' "$T/out" || fail "/dev/full: $(cat "$T/out")"
fi

# --- many at once
for i in $(seq 100); do
	$A -s "$DATA" status --timeout 50 >"$T/many.$i" 2>&1 &
done
for p in $(jobs -p); do
	wait "$p" || fail "one of 100 failed: $(cat "$T"/many.* | grep -m1 veristore-admin:)"
done

# --- a hung daemon: a time limit and a clear sentence
pid=$(vs_pid)
kill -STOP "$pid"
ends 2 "(process $pid) does not answer within 2 s" $A -s "$DATA" status --timeout 2
ends 2 "does not answer within 1 s" $A -s "$MNT/a/b" scrub --timeout 1
kill -CONT "$pid"
vs_wait 10 $A -s "$DATA" status >/dev/null || fail "does not answer after SIGCONT"

# --- Ctrl-C and death of the client: the daemon goes on
for sig in INT TERM KILL; do
	$A -s "$DATA" scrub >"$T/out" 2>&1 &
	client=$!
	sleep 0.05
	kill "-$sig" "$client" 2>/dev/null
	wait "$client" 2>/dev/null
done
vs_wait 10 $A -s "$DATA" scrub >/dev/null 2>&1 || fail "scrub after an interrupted one"
ends 0 "healthy" $A -s "$DATA" status

# --- garbage on the socket
if command -v python3 >/dev/null; then
	python3 - "$DATA/admin.sock" <<'END' || fail "garbage"
import os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
for data in (b'', b'x', b'GET / HTTP/1.0\r\n\r\n', os.urandom(70000), b'VSAD\1\0\1\0\xff\xff\0\0'):
    s = socket.socket(socket.AF_UNIX)
    s.connect('admin.sock')
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        s.recv(100000)
    except OSError:
        pass
    s.close()
END
	ends 0 "healthy" $A -s "$DATA" status
fi
vs_unmount
