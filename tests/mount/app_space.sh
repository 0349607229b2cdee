# df and du are exact: data, holes, hard links, copies that share, unlinked open files.
. "$(dirname "$0")/lib.sh"

vs_mount
cd "$MNT" || fail "cd"
used() { stat -f -c '%b %f %S' . | awk '{print ($1 - $2) * $3}'; }
inodes() { stat -f -c '%c %d' . | awk '{print $1 - $2}'; }
du_bytes() { du -s -B1 "$@" | cut -f1; }
# between WHAT LOW HIGH VALUE
between() { [ "$4" -ge "$2" ] && [ "$4" -le "$3" ] || fail "$1: $4, not in $2..$3"; }

vs_admin gc >/dev/null
u0=$(used)
i0=$(inodes)
head -c 20000000 /dev/urandom >big
between "df of 20 MB" 19900000 21500000 $(($(used) - u0))
between "du of 20 MB" 20000000 20100000 "$(du_bytes big)"
[ "$(inodes)" = $((i0 + 1)) ] || fail "inodes"
ln big hard
between "du of two links" 20000000 20200000 "$(du_bytes .)"

# holes
truncate -s 100M hole
[ "$(du_bytes hole)" = 0 ] || fail "du of a hole: $(du_bytes hole)"
printf x | dd of=hole bs=1 seek=50000000 conv=notrunc status=none
between "du of a hole with a byte" 1 65536 "$(du_bytes hole)"
[ "$(head -c 50000001 hole | tail -c 1)" = x ] || fail "the byte"
if command -v fallocate >/dev/null; then
	dd if=big of=punched bs=1M status=none # cp would share the chunks
	u=$(used)
	fallocate -p -o 4096 -l 10000000 punched || fail "fallocate -p"
	between "du of a punched file" 9900000 10300000 "$(du_bytes punched)"
	head -c 10004096 punched | tail -c 10000000 | tr -d '\0' | head -c 1 | grep -q . && fail "not zeros"
	tail -c +10004097 punched | cmp - <(tail -c +10004097 big) || fail "behind the hole"
	head -c 4096 big | cmp - <(head -c 4096 punched) || fail "before the hole"
	[ "$(stat -c %s punched)" = 20000000 ] || fail "size of the punched"
	vs_admin gc >/dev/null
	# chunks at the edges stay while a part of them is used
	between "df after the punch" 8000000 10500000 $((u - $(used)))
	fallocate -l 3M prealloc && [ "$(stat -c %s prealloc)" = 3145728 ] || fail "fallocate"
	fallocate -n -o 1M -l 5M prealloc && [ "$(stat -c %s prealloc)" = 3145728 ] || fail "fallocate -n"
	fallocate -z -o 0 -l 5M prealloc && [ "$(stat -c %s prealloc)" = 5242880 ] || fail "fallocate -z"
	rm punched prealloc
fi
cp --sparse=always hole sparse && cmp hole sparse || fail "cp --sparse"
between "du of a sparse copy" 1 1200000 "$(du_bytes sparse)"

# all gone again
exec 5<big
rm -f big hard hole sparse
vs_admin gc >/dev/null # contents are collected a little later
between "an unlinked open file counts" 19900000 21500000 $(($(used) - u0))
exec 5<&-
sleep 0.2
vs_admin gc >/dev/null
between "df when all is gone" -200000 200000 $(($(used) - u0))
[ "$(inodes)" = "$i0" ] || fail "inodes when all is gone: $(inodes), not $i0"

# an unlinked open file dies with the daemon
head -c 5000000 /dev/urandom >gone
exec 5<gone
rm gone
cd / || exit 1
vs_remount
exec 5<&-
cd "$MNT" || fail "cd"
vs_admin gc >/dev/null
between "df after kill -9" -300000 300000 $(($(used) - u0))
[ "$(inodes)" = "$i0" ] || fail "inodes after kill -9"
cd / || exit 1
vs_scrub_clean
vs_unmount
