# The programs everybody uses: tar, cp, rsync, find, sed, editors' ways to save,
# install, ln, mktemp, flock; hole files; round trips keep everything.
. "$(dirname "$0")/lib.sh"

vs_mount

# --- a tree with everything in it
tree=$T/tree
mkdir -p "$tree/a/b/c" "$tree/empty"
for i in 0 1 2047 2048 2049 4095 4096 4097 65536 100000 1048575 1048576 1048577 3000000; do
	head -c $i /dev/urandom >"$tree/a/f$i"
done
truncate -s 10M "$tree/a/hole"
printf x | dd of="$tree/a/hole" bs=1 seek=5000000 conv=notrunc status=none
ln "$tree/a/f4096" "$tree/a/b/hard"
ln -s ../f4097 "$tree/a/b/soft"
ln -s /nowhere/at/all "$tree/a/dangling"
mkfifo "$tree/a/fifo"
chmod 4755 "$tree/a/f1" && chmod 1777 "$tree/empty" && chmod 2750 "$tree/a/b"
chmod 000 "$tree/a/f0"
touch -d '1999-12-31 23:59:59.123456789' "$tree/a/f2048"
touch -d '2100-01-01' "$tree/a/f2049"
touch -hd '1970-01-01 00:00:01' "$tree/a/dangling"
[ "$(id -u)" != 0 ] || chown 1234:5678 "$tree/a/f65536"
setfattr -n user.note -v 'a value' "$tree/a/f100000" 2>/dev/null
touch -d '2001-02-03 04:05:06.7' "$tree/a/b/c" "$tree/a/b" "$tree/a" "$tree/empty"

# Everything of a tree in text.
list()
{
	(cd "$1" && find . -printf '%p %y %m %U:%G %s %n %T+ %l\n' | awk '$2 == "d" {$5 = $6 = ""} {print}' |
		sort && find . -type f -exec sha256sum {} + | sort -k2 &&
		getfattr -R -d -m user. . 2>/dev/null)
}
list "$tree" >"$T/want"
same()
{
	list "$1" >"$T/have"
	cmp -s "$T/want" "$T/have" || fail "$2: $(diff "$T/want" "$T/have" | head -n6)"
}

cp -a "$tree" "$MNT/cp" || fail "cp -a"
same "$MNT/cp" "cp -a"
cp -a "$MNT/cp" "$MNT/cp2" || fail "cp -a inside"
same "$MNT/cp2" "cp -a inside"
mkdir "$MNT/tar"
tar -C "$tree" --xattrs -cf - . | tar -C "$MNT/tar" --xattrs -xpf - || fail "tar in"
same "$MNT/tar" "tar"
mkdir "$T/back"
tar -C "$MNT/tar" --xattrs -cSf "$MNT/t.tar" . && tar -C "$T/back" --xattrs -xpf "$MNT/t.tar" ||
	fail "tar out"
same "$T/back" "tar and back"
vs_remount
for d in cp cp2 tar; do same "$MNT/$d" "$d after kill -9"; done

cp --reflink=auto "$MNT/cp/a/f3000000" "$MNT/reflink" || fail "cp --reflink=auto"
cmp "$tree/a/f3000000" "$MNT/reflink" || fail "reflink content"
echo change | dd of="$MNT/reflink" conv=notrunc status=none
cmp "$tree/a/f3000000" "$MNT/cp/a/f3000000" || fail "a change of the copy changed the source"

if command -v rsync >/dev/null; then
	rsync -aHX "$tree/" "$MNT/rsync/" || fail "rsync"
	same "$MNT/rsync" "rsync"
	rm "$MNT/cp/a/f2047" && echo >"$MNT/cp/a/more" && rsync -aHX --delete "$tree/" "$MNT/cp/" ||
		fail "rsync --delete"
	same "$MNT/cp" "rsync --delete"
fi

# --- find, xargs, rm
n=$(find "$MNT/cp2" -type f -size +4095c | wc -l)
[ "$n" = "$(find "$tree" -type f -size +4095c | wc -l)" ] || fail "find -size"
find "$MNT/cp2" -type f -print0 | xargs -0 -n 3 -P 2 rm -f || fail "find, xargs, rm"
[ -z "$(find "$MNT/cp2" -type f)" ] || fail "xargs rm left something"
find "$MNT/cp2" -depth -delete || fail "find -delete"
[ ! -e "$MNT/cp2" ] || fail "find -delete left something"

# --- ways to save a file: all of them leave the new content and the mode
cd "$MNT" || fail "cd"
seq 1000 >doc && chmod 640 doc
saved()
{
	[ "$(stat -c %a doc)" = 640 ] || fail "$1: mode $(stat -c %a doc)"
	[ "$(tail -n1 doc)" = "$2" ] || fail "$1: content"
	vs_kill
	vs_mount
	cd "$MNT" || fail "cd"
	[ "$(tail -n1 doc)" = "$2" ] || fail "$1: content after kill -9"
	[ "$(stat -c %a doc)" = 640 ] || fail "$1: mode after kill -9"
}
sed -i 's/^1000$/sed/' doc || fail "sed -i"
saved "sed -i" sed
cp -p doc doc~ && echo backup >>doc && rm doc~ && saved "backup by copy" backup
mv doc doc~ && cp -p doc~ doc && echo renamed >>doc && rm doc~ && saved "backup by rename" renamed
(umask 027 && cp doc .doc.swp && echo swap >>.doc.swp && sync .doc.swp && mv .doc.swp doc) &&
	saved "write beside and rename" swap
if command -v vim >/dev/null; then
	for bc in yes no auto; do
		vim -u NONE -es -c "set backup backupcopy=$bc" -c "normal Govim$bc" -c 'wq' doc \
			</dev/null >/dev/null 2>&1
		saved "vim backupcopy=$bc" "vim$bc"
	done
fi

# --- install, ln, mktemp, truncate, split, sort
install -D -m 751 doc sub/dir/prog || fail "install"
[ "$(stat -c %a sub/dir/prog)" = 751 ] || fail "install: mode"
ln doc hard && ln -sfn doc soft && ln -sfn hard soft || fail "ln"
[ "$(stat -c %h doc)" = 2 ] && [ "$(readlink soft)" = hard ] || fail "ln: result"
ln doc hard 2>/dev/null && fail "ln over a name"
ln -f reflink hard && [ "$(stat -c %h doc)" = 1 ] || fail "ln -f"
t=$(mktemp -p . x.XXXXXX) && [ "$(stat -c %a "$t")" = 600 ] || fail "mktemp"
split -b 100000 reflink part. && cat part.* | cmp - reflink || fail "split and cat"
seq 20000 | sort -R >shuffled && sort -n shuffled -o shuffled && seq 20000 | cmp - shuffled ||
	fail "sort -o"
dd if=reflink of=direct bs=64k oflag=direct status=none 2>/dev/null &&
	{ cmp reflink direct || fail "O_DIRECT"; }

# --- flock(1): one at a time, and free when the holder dies
echo 0 >count
for i in 1 2 3 4; do
	(for k in $(seq 10); do flock lock sh -c 'echo $(($(cat count) + 1)) >count'; done) &
done
wait
[ "$(cat count)" = 40 ] || fail "flock: $(cat count) instead of 40"
(flock 9; exec sleep 100) 9>lock &
holder=$!
sleep 0.3
flock -n lock true && fail "flock: two at once"
kill $holder
wait $holder 2>/dev/null
flock -w 5 lock true || fail "flock: not free when the holder died"

cd / || exit 1
vs_scrub_clean
vs_unmount
