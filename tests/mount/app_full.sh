# P7, F93: a full disk.  ENOSPC at write or close and nothing lost; reads and rm
# go on; service resumes; a start with zero bytes free works.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip "only root can mount a small disk"
command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"

mkdir "$T/disk"
truncate -s 128M "$T/image"
mkfs.ext4 -q -m 0 "$T/image" && mount -o loop "$T/image" "$T/disk" 2>/dev/null ||
	skip "no loop device here"
DATA=$T/disk/data

free_bytes() { stat -f -c '%a %S' "$1" | awk '{print $1 * $2}'; }
# vs_remount, but a start with zero bytes free has no room for a pid file.
kill_and_start()
{
	local pid
	pid=$(vs_admin status --json | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
	[ -n "$pid" ] || fail "no pid in the status"
	kill -KILL "$pid"
	vs_wait 30 vs_gone "$pid" || fail "the daemon does not die"
	vs_mount
}
# Write files until one fails; the good ones go to $T/good.
fill()
{
	local i
	: >"$T/good"
	for i in $(seq 400); do
		if head -c "$2" /dev/urandom >"$T/one" && cp "$T/one" "$MNT/$1.$i" 2>"$T/cp.err"; then
			echo "$(sha256sum <"$T/one") $1.$i" >>"$T/good"
		else
			grep -q 'No space left' "$T/cp.err" || fail "not ENOSPC: $(cat "$T/cp.err")"
			return
		fi
	done
	fail "the disk does not fill"
}
check_good()
{
	local sum dash name
	[ -s "$T/good" ] || fail "$1: nothing fitted"
	while read -r sum dash name; do
		[ "$(sha256sum <"$MNT/$name")" = "$sum  $dash" ] || fail "$1: $name"
	done <"$T/good"
}

vs_mount "segment=4M,chunk=64K"
echo keep >"$MNT/keep"
for size in 2500000 50000; do
	# few small ones are enough when most is taken
	[ $size = 2500000 ] || head -c 80000000 /dev/urandom >"$MNT/s.base" || fail "80 MB"
	fill "s$size" $size
	check_good "full"
	[ "$(cat "$MNT/keep")" = keep ] || fail "keep"
	echo new 2>/dev/null >"$MNT/keep"
	case $(cat "$MNT/keep") in keep | new | '') ;; *) fail "keep is neither old nor new" ;; esac
	echo keep >"$MNT/keep" 2>/dev/null
	vs_admin status >"$T/status" || grep -q 'because' "$T/status" || fail "status: $(cat "$T/status")"
	kill_and_start
	check_good "full and kill -9"

	# nothing at all is free below
	dd if=/dev/zero of="$T/disk/filler" bs=64k status=none 2>/dev/null
	dd if=/dev/zero of="$T/disk/filler2" bs=512 status=none 2>/dev/null
	kill_and_start
	check_good "zero bytes free and kill -9"
	vs_scrub_clean
	ls -l "$MNT" >/dev/null || fail "ls"
	vs_unmount
	vs_mount
	check_good "zero bytes free and a start"
	# removing works, and makes room for new ones
	find "$MNT" -name 's*' -delete || fail "rm on a full disk"
	[ -z "$(find "$MNT" -name 's*')" ] || fail "rm left something"
	rm -f "$T/disk/filler" "$T/disk/filler2"
	vs_admin gc >/dev/null || fail "gc"
	head -c 20000000 /dev/urandom >"$T/one"
	resumed() { cp "$T/one" "$MNT/again" 2>"$T/cp.err"; }
	vs_wait 30 resumed || fail "service does not resume: $(cat "$T/cp.err")"
	cmp "$T/one" "$MNT/again" || fail "content"
	rm "$MNT/again"
	echo keep >"$MNT/keep" || fail "a small file when there is room"
done

# an error after write has to come out at fsync or close, of exactly that file
if command -v python3 >/dev/null; then
	fill last 700000
	python3 - "$MNT" <<'END' || fail "late errors"
import errno, os, sys
os.chdir(sys.argv[1])
def attempt(name, data, n):
    error = 0
    try:
        fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    except OSError as e:
        return e.errno
    try:
        for i in range(n):
            os.write(fd, data)
        os.fsync(fd)
    except OSError as e:
        error = e.errno
    try:
        os.close(fd)
    except OSError as e:
        error = error or e.errno
    return error
e = attempt('toobig', os.urandom(1 << 20), 200)
assert e == errno.ENOSPC, e
size = os.stat('toobig').st_size if os.path.exists('toobig') else 0
assert os.path.exists('keep')
END
	check_good "late errors"
fi
kill_and_start
check_good "the end"
vs_scrub_clean
vs_unmount
vs_wait 30 umount "$T/disk" 2>/dev/null || fail "the disk is busy"
