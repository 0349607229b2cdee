# F99: names of any bytes, long names, deep paths, link counts, odd sizes; the POSIX errno.
. "$(dirname "$0")/lib.sh"

# says TEXT CMD...: CMD fails with TEXT
says()
{
	local text=$1
	shift
	LC_ALL=C "$@" >"$T/out" 2>&1 && fail "succeeded: $*"
	grep -qF "$text" "$T/out" || fail "\"$text\" is not in: $(cat "$T/out")"
}

vs_mount
cd "$MNT" || fail "cd"
rep() { printf "%.0s$1" $(seq "$2"); }

# --- length
n255=$(rep n 255)
touch "$n255" && mkdir "d${n255#n}" && touch "d${n255#n}/$n255" || fail "255 bytes"
says 'File name too long' touch "${n255}x"
says 'File name too long' mkdir "${n255}x"
says 'File name too long' mv "$n255" "${n255}x"
says 'File name too long' ln "$n255" "${n255}x"
says 'File name too long' ln -s a "${n255}x"
ln -s "$(rep t 4095)" long && [ "$(readlink long | wc -c)" = 4096 ] || fail "a target of 4095 bytes"

# --- any bytes
i=0
for name in ' ' '  lead' 'trail ' '-rf' '--' '*' '?' '[a-z]' '$HOME' '`id`' "a'b" 'a"b' 'a\b' '~' '#x#' \
	'...' '. .' $'new\nline' $'tab\there' $'\001\002\177' $'\377\376' $'\303\050' 'ä' 'a\304' \
	$'\xe2\x80\xae' 'CON' 'a:b' '.hidden' "$(rep $'\200' 255)"; do
	printf %s "$name" >"./$name" || fail "name $i"
	i=$((i + 1))
done
find . -maxdepth 1 -type f -print0 | sort -z >"$T/names"
cp -a . "$T/out-dir" && (cd "$T/out-dir" && find . -maxdepth 1 -type f -print0 | sort -z) |
	cmp - "$T/names" || fail "names of a copy"
for name in A a 'Straße' 'strasse'; do printf %s "$name" >"case-$name"; done
[ "$(ls -d case-* | wc -l)" = 4 ] && [ "$(cat case-A)" = A ] || fail "case"

# --- depth: by steps, longer than PATH_MAX in all
mkdir deep && cd deep || fail "deep"
for i in $(seq 60); do mkdir "$(rep d 100)" && cd "$(rep d 100)" || fail "depth $i"; done
echo bottom >file && [ "$(cat file)" = bottom ] || fail "bottom"
cd "$MNT" || fail "cd"
[ "$(find deep -type d | wc -l)" = 61 ] || fail "find in the deep"
rm -rf deep && [ ! -e deep ] || fail "rm -rf deep"
p=$MNT/p
mkdir "$p"
while [ ${#p} -lt 4000 ]; do p=$p/$(rep e 80) && mkdir "$p"; done
echo x >"$p/f" && cat "$p/f" >/dev/null || fail "a path of 4000 bytes"

# --- links
touch many
for i in $(seq 1 1000); do echo "l$i"; done | (mkdir links && cd links &&
	xargs -I{} ln ../many {}) || fail "1000 links"
[ "$(stat -c %h many)" = 1001 ] || fail "link count $(stat -c %h many)"
rm -rf links && [ "$(stat -c %h many)" = 1 ] || fail "link count when they are gone"
ln -s loop loop && says 'Too many levels' cat loop

# --- the errno of mistakes
mkdir dir && touch dir/f file
says 'Not a directory' ls file/x
says 'Is a directory' sh -c 'cat <dir >/dev/null && : >dir'
says 'Directory not empty' rmdir dir
says 'Not a directory' rmdir file
says 'File exists' mkdir file
says 'subdirectory of itself' mv dir dir/sub
says 'No such file' cat none
says 'Invalid argument' rmdir dir/.
truncate -s 9223372036854775807 file || fail "a file of 8 EiB"
truncate -s 1T file && [ "$(stat -c '%s %b' file)" = '1099511627776 0' ] || fail "1 TiB: $(stat -c '%s %b' file)"
printf end | dd of=file bs=1 seek=1099511627773 conv=notrunc status=none || fail "the end of 1 TiB"
[ "$(tail -c 5 file | od -An -c | tr -d ' ')" = '\0\0end' ] || fail "read the end of 1 TiB"
[ "$(du -k file | cut -f1)" -le 64 ] || fail "1 TiB uses $(du -k file)"

find . -print0 | sort -z >"$T/all"
cd / || exit 1
vs_remount
cd "$MNT" || fail "cd"
find . -print0 | sort -z | cmp - "$T/all" || fail "names after kill -9"
[ "$(tail -c 3 file)" = end ] || fail "1 TiB after kill -9"
find . -mindepth 1 -delete || fail "delete all"
[ -z "$(ls -A)" ] || fail "left: $(ls -A)"
cd / || exit 1
vs_scrub_clean
vs_unmount
