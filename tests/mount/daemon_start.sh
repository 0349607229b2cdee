# Starting: in the background once the mount answers; and every way it cannot
# start gives one clear sentence, a status that is not 0, and no damage.
. "$(dirname "$0")/lib.sh"

# refused TEXT ARGS...: veristore ARGS fails, names TEXT in exactly one line
refused()
{
	local text=$1 rc
	shift
	timeout 60 veristore "$@" >"$T/out" 2>"$T/refused.err" </dev/null
	rc=$?
	[ $rc = 1 ] || fail "status $rc instead of 1: veristore $*"
	[ "$(wc -l <"$T/refused.err")" = 1 ] || fail "not one line: $(cat "$T/refused.err")"
	grep -qF -- "$text" "$T/refused.err" ||
		fail "\"$text\" is not in: $(cat "$T/refused.err") ($*)"
	[ ! -s "$T/out" ] || fail "stdout is not empty: $(cat "$T/out")"
}

veristore --help >"$T/help" || fail "--help fails"
grep -q 'durability=close' "$T/help" || fail "--help is short"
# the man page knows every option that --help names, and every message id
sed -n 's/^    \([a-z_]*\).*/\1/p' "$T/help" | sort -u | while read -r o; do
	grep -q "^\.It Cm $o\b" "$SRC/tools/veristore.8" || echo "$o"
done >"$T/lacks"
sed -n 's/.*"\(VS[0-9]*\)".*/\1/p' "$SRC/tools/logfile.h" | while read -r o; do
	grep -q "^\.It $o\$" "$SRC/tools/veristore.8" || echo "$o"
done >>"$T/lacks"
[ ! -s "$T/lacks" ] || fail "not in veristore(8): $(cat "$T/lacks")"
veristore --version | grep -q '^veristore [0-9]' || fail "--version"

# --- the first start makes the store and comes back when the mount answers
vs_mount
[ "$(stat -c %a "$DATA")" = 700 ] || fail "mode of the data directory"
[ "$(stat -c %a "$DATA/admin.sock")" = 600 ] || fail "mode of the socket"
grep -q " - fuse.veristore $DATA " /proc/self/mountinfo || fail "type or source of the mount"
pid=$(vs_pid)
[ "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid" ] || fail "the daemon has no session of its own"
[ "$(readlink "/proc/$pid/cwd")" = / ] || fail "the daemon holds a directory"
[ "$(readlink "/proc/$pid/fd/0")" = /dev/null ] || fail "stdin is not /dev/null"
echo hello >"$MNT/file" || fail "cannot write"
grep -q ' info daemon VS1001 ' "$DATA/veristore.log" || fail "no line in the log"

# --- while it runs
mkdir "$T/mnt2"
refused "is in use by process $pid and mounted on $MNT" "$DATA" "$T/mnt2"
refused "$DATA is already mounted on $MNT" "$DATA" "$MNT"
refused "$DATA is already mounted on $MNT" "$T/other" "$MNT"
[ "$(cat "$MNT/file")" = hello ] || fail "the first mount suffered"
vs_unmount
[ ! -e "$DATA/admin.sock" ] || fail "the socket was left"
[ ! -e "$DATA/veristore.pid" ] || fail "the pid file was left"

# --- again, with what was there
vs_mount
[ "$(cat "$MNT/file")" = hello ] || fail "the file is gone"
vs_unmount

# --- mount points
refused "does not exist" "$DATA" "$T/nowhere"
: >"$T/plain"
refused "is not a directory" "$DATA" "$T/plain"
refused "is both DATA_DIR and MOUNTPOINT" "$MNT" "$MNT"
refused "lies below the mount point" "$MNT/data" "$MNT"
mkdir -p "$T/d2/inside"
refused "lies below the data directory" "$T/d2" "$T/d2/inside"

# --- data directories
refused "no such file" "$T/a/b/c" "$MNT"
refused "not a directory" "$T/plain" "$MNT"
mkdir "$T/foreign"
echo precious >"$T/foreign/thesis.tex"
refused "not empty" "$T/foreign" "$MNT"
[ "$(cat "$T/foreign/thesis.tex")" = precious ] || fail "a foreign file was touched"
mkdir "$T/halfstore"
head -c 100000 /dev/urandom >"$T/halfstore/super"
refused "superblock" "$T/halfstore" "$MNT"
: >"$T/halfstore/super"
refused "superblock" "$T/halfstore" "$MNT"
cp -a "$DATA" "$T/nosuper"
rm "$T/nosuper/super"
refused "superblock" "$T/nosuper" "$MNT"
if [ "$(id -u)" != 0 ]; then
	mkdir -m 500 "$T/readonly"
	refused "permission denied" "$T/readonly/data" "$MNT"
fi

# --- log files
refused "log file" "$DATA" "$MNT" -o "log=$T/no/such/dir/log"
refused "lies below the mount point" "$DATA" "$MNT" -o "log=$MNT/log"
refused "needs -f" "$DATA" "$MNT" -o log=stderr

# --- options
while read -r options text; do
	refused "$text" "$DATA" "$MNT" -o "$options"
done <<'END'
durability=never durability=never
commit=0 commit=0
commit=abc seconds
cache=1 4M
cache=99999999999999999999 cache=
dirty=1K 8M
dirty=-8M dirty=
chunk=3M power of two
chunk=1 64K
segment=1 256K
segment=1M,chunk=1M 4 chunks
loglevel=loud loglevel=loud
log= log=
cache needs a value
fsname=x fsname
auto_unmount auto_unmount
no_such_option_at_all no_such_option_at_all
END
refused "MOUNTPOINT is missing" "$DATA"
refused "DATA_DIR and MOUNTPOINT are missing"
refused "one argument too many" "$DATA" "$MNT" "$T"
refused "unknown argument --frob" --frob "$DATA" "$MNT"

# --- after all that the store is as it was
vs_mount "cache=8M,dirty=8M,durability=strict,commit=1,loglevel=debug,log=$T/vs.log"
[ "$(cat "$MNT/file")" = hello ] || fail "the file is gone"
grep -q ' daemon VS1001 ' "$T/vs.log" || fail "log= is not honoured"
vs_admin status --json | grep -q '"durability": "strict"' || fail "durability= is not honoured"
vs_unmount

# --- names that need escaping on the way to the kernel
DATA="$T/da,ta \\x" MNT="$T/m nt,y"
mkdir "$MNT"
vs_mount_odd()
{
	timeout 60 veristore "$DATA" "$MNT" 2>"$T/start.err" || fail "start: $(cat "$T/start.err")"
	echo odd >"$MNT/f" || fail "cannot write"
	veristore-admin -s "$MNT" status >"$T/odd" || fail "not found by mount point"
	grep -qF "$DATA" "$T/odd" || fail "status does not name the directory"
}
vs_mount_odd
vs_unmount

# --- a path too long for a socket address
DATA=$T/$(printf 'd%.0s' $(seq 100))/$(printf 'e%.0s' $(seq 100)) MNT=$T/mnt
mkdir -p "$(dirname "$DATA")"
vs_mount
vs_admin status >/dev/null || fail "no status through a long path"
vs_unmount

# --- in the foreground, relative paths, and the log on stderr
cd "$T" || exit 1
DATA=data MNT=mnt veristore data mnt -f 2>"$T/fg.err" &
fg=$!
DATA=$T/data MNT=$T/mnt
vs_wait 60 vs_mounted || fail "the foreground mount did not come"
vs_wait 60 grep -q ' daemon VS1001 ' "$T/fg.err" || fail "no log on stderr"
[ "$(vs_pid)" = "$fg" ] || fail "with -f the process stays the same"
kill -INT "$fg"
wait "$fg" || fail "SIGINT: status $?"
vs_mounted && fail "SIGINT: still mounted"
exit 0
