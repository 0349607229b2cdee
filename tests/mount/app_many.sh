# 20 000 entries in a directory, 20 000 files open at once, a directory that
# changes while it is listed; memory stays bounded (P8, F98).
. "$(dirname "$0")/lib.sh"

vs_mount "cache=16M,dirty=16M"
mkdir "$MNT/d" && cd "$MNT/d" || fail "mkdir"
rss() { awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$(vs_pid)/status"; }

# links are quick to make, files are files
touch first
seq 20000 | sed 's/^/entry-/' | xargs -n 500 sh -c 'for f; do ln -s x "$f"; done' - || fail "make"
[ "$(ls -U | wc -l)" = 20001 ] || fail "ls -U: $(ls -U | wc -l)"
[ "$(ls -U | sort -u | wc -l)" = 20001 ] || fail "a name twice"
ls -l >/dev/null || fail "ls -l"
cd / || exit 1
vs_remount "cache=16M,dirty=16M"
cd "$MNT/d" || fail "cd"
[ "$(ls -U | wc -l)" = 20001 ] || fail "ls -U after kill -9"

# names that stay are listed once while others come and go
(for k in 1 2 3; do
	for i in $(seq 200); do : >"new-$k-$i"; done
	rm -f new-$k-* "entry-${k}5"*
done) &
for k in 1 2 3 4 5; do
	ls -U | grep '^entry-4' | sort >"$T/list"
	ls -d entry-4* 2>/dev/null | sort | cmp -s - "$T/list" || fail "listing $k under changes"
	[ "$(wc -l <"$T/list")" = 1111 ] || [ "$(wc -l <"$T/list")" = 11111 ] || [ -s "$T/list" ] ||
		fail "listing $k"
done
wait
rm -rf "$MNT/d/"entry-1* || fail "rm"
cd / || exit 1
rm -rf "$MNT/d" || fail "rm -rf"
[ ! -e "$MNT/d" ] || fail "rm -rf left something"

# --- 20 000 open files
if command -v python3 >/dev/null && ulimit -n 20500 2>/dev/null; then
	vs_unmount
	vs_mount "cache=16M,dirty=16M" # with the new limit
	python3 - "$MNT" <<'END' || fail "20 000 open files"
import os, sys
os.chdir(sys.argv[1])
os.mkdir('o')
fds = []
for i in range(20000):
    fds.append(os.open('o/%d' % i, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644))
    if i % 10 == 0:
        os.write(fds[-1], b'content %d' % i)
for i in range(0, 20000, 500):
    os.unlink('o/%d' % i)
for i in range(0, 20000, 10):
    assert os.pread(fds[i], 100, 0) == b'content %d' % i, i
assert len(os.listdir('o')) == 20000 - 40
os._exit(0)
END
	[ "$(find "$MNT/o" -type f | wc -l)" = 19960 ] || fail "files: $(find "$MNT/o" -type f | wc -l)"
	[ "$(cat "$MNT/o/10")" = "content 10" ] || fail "content"
	vs_remount "cache=16M,dirty=16M"
	[ "$(find "$MNT/o" -type f | wc -l)" = 19960 ] || fail "files after kill -9"
	[ "$(cat "$MNT/o/19990")" = "content 19990" ] || fail "content after kill -9"
	rm -rf "$MNT/o" || fail "rm"
fi
case $VS_BIN in
*release*) [ "$(rss)" -le 160 ] || fail "the daemon used $(rss) MiB" ;;
esac
vs_scrub_clean
vs_unmount
