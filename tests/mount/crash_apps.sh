# F89, F92: kill -9 of the daemon under cp, mv, rm, tar, git, sqlite3, an append
# loop and eight writers at once.  After the remount what was acknowledged is
# there and each file is its old or its new version.
# One round of each; VS_LONG=1: VS_ROUNDS (20) rounds.
. "$(dirname "$0")/lib.sh"

rounds=1
[ -z "${VS_LONG:-}" ] || rounds=${VS_ROUNDS:-20}
SEED=${VS_SEED_FIRST:-$$}
RANDOM=$SEED
echo "seed $SEED"

# Run CMD (a function) in the background, kill the daemon 0.05 to 0.8 s later, mount again.
crash_under()
{
	local job ms=$((RANDOM % 750 + 50))
	"$@" >"$T/job.out" 2>&1 &
	job=$!
	sleep "0.$(printf %03d $ms)"
	vs_kill
	vs_wait 30 job_ended "$job" || fail "$*: a process hangs on the dead mount"
	wait "$job"
	job_status=$?
	vs_mount
}

job_ended()
{
	! kill -0 "$1" 2>/dev/null
}

# Each file below $2 is, byte for byte, the one below $1.
all_same()
{
	local f
	(cd "$2" && find . -type f) | while read -r f; do
		cmp -s "$1/$f" "$2/$f" || echo "$f"
	done >"$T/differ"
	[ ! -s "$T/differ" ] || fail "$3: not as the source: $(head -n3 "$T/differ")"
}

# --- a source tree: 120 files of up to 400 KiB, two of 5 MB, 200 empty ones
mkdir -p "$T/src"
for i in $(seq 200); do : >"$T/src/m$i"; done
for i in $(seq 120); do
	mkdir -p "$T/src/d$((i % 17))/e$((i % 3))"
	head -c $((i * i * 37 % 400000)) /dev/urandom >"$T/src/d$((i % 17))/e$((i % 3))/f$i"
done
head -c 5000000 /dev/urandom >"$T/src/big1"
head -c 5000000 /dev/urandom >"$T/src/d1/big2"
ln -s big1 "$T/src/link"
for i in $(seq 0 19); do
	head -c $((i * i * i * 200)) "$T/src/big1" >"$T/part.$i"
done
tar -C "$T" -cf "$T/src.tar" src
(cd "$T/src" && git init -q . && git add . &&
	git -c user.name=t -c user.email=t@t commit -qm 1) || fail "git"
mv "$T/src/.git" "$T/repo.git"
vs_mount

do_cp() { cp -a "$T/src" "$MNT/copy.$n"; }
do_tar() { mkdir "$MNT/tar.$n" && tar -C "$MNT/tar.$n" -xf "$T/src.tar"; }
do_mv() { for m in "$MNT/old.$n"/*; do mv "$m" "$MNT/new.$n/"; done; }
do_rm() { rm -rf "$MNT/gone.$n"; }
do_clone() { git clone -q --no-local "$T/repo.git" "$MNT/clone.$n"; }
do_commits()
{
	local k
	cd "$MNT/work.$n" || return 1
	for k in $(seq 1000); do
		echo "$k" >"f$k" && git add "f$k" && git -c core.fsync=all -c user.name=t \
			-c user.email=t@t commit -qm "$k" && echo "$k" >>"$T/commits" || return 1
	done
}
do_append()
{
	local k
	for k in $(seq 100000); do
		# dd reports a write or close that failed
		echo "line $k" | dd of="$MNT/log.$n" oflag=append conv=notrunc,fsync \
			status=none 2>/dev/null || return 1
		echo "$k" >"$T/lines"
	done
}
do_sqlite()
{
	local k
	for k in $(seq 100000); do
		sqlite3 "$MNT/$1.$n.db" "PRAGMA synchronous=FULL; PRAGMA journal_mode=$1;
			INSERT INTO t VALUES ($k, hex(randomblob(500)));" >/dev/null || return 1
		echo "$k" >"$T/rows"
	done
}
# cp has one descriptor; a shell's redirection would close a copy of it early, a commit (F91)
do_writers()
{
	local w
	for w in 1 2 3 4 5 6 7 8; do
		(
			i=0
			while cp "$T/part.$((i % 20))" "$MNT/w.$n/$w.$i" 2>/dev/null; do
				echo "$w.$i" >>"$T/written.$w"
				i=$((i + 1))
			done
		) &
	done
	wait
}

round_files()
{
	crash_under do_cp
	[ ! -d "$MNT/copy.$n" ] || all_same "$T/src" "$MNT/copy.$n" "cp -a"
	cp -a "$T/src/." "$MNT/copy.$n/" || fail "cp -a once more"
	diff -r "$T/src" "$MNT/copy.$n" >/dev/null || fail "the second cp -a"

	crash_under do_tar
	[ ! -d "$MNT/tar.$n/src" ] || all_same "$T/src" "$MNT/tar.$n/src" "tar"
	rm -rf "$MNT/tar.$n"

	mv "$MNT/copy.$n" "$MNT/old.$n" && mkdir "$MNT/new.$n" || fail "mv"
	crash_under do_mv
	for f in "$T/src"/*; do
		f=${f##*/}
		case $(ls -d "$MNT/old.$n/$f" "$MNT/new.$n/$f" 2>/dev/null | wc -l) in
		0) fail "mv lost $f" ;;
		2) fail "mv doubled $f" ;;
		esac
	done
	all_same "$T/src" "$MNT/new.$n" "mv"

	mv "$MNT/new.$n" "$MNT/gone.$n"
	crash_under do_rm
	[ ! -d "$MNT/gone.$n" ] || all_same "$T/src" "$MNT/gone.$n" "rm"
	rm -rf "$MNT/gone.$n" "$MNT/old.$n" || fail "rm -rf once more"
	[ ! -e "$MNT/gone.$n" ] || fail "rm -rf left something"
}

round_git()
{
	local last
	crash_under do_clone
	if [ "$job_status" = 0 ]; then
		git -C "$MNT/clone.$n" fsck --strict >"$T/fsck" 2>&1 || fail "fsck: $(cat "$T/fsck")"
	fi
	rm -rf "$MNT/clone.$n"
	git clone -q --no-local "$T/repo.git" "$MNT/clone.$n" || fail "git clone once more"
	git -C "$MNT/clone.$n" fsck --strict >"$T/fsck" 2>&1 || fail "fsck: $(cat "$T/fsck")"
	[ -z "$(git -C "$MNT/clone.$n" status --porcelain)" ] || fail "a clone that is not clean"
	rm -rf "$MNT/clone.$n"

	git init -q "$MNT/work.$n" || fail "git init"
	: >"$T/commits"
	crash_under do_commits
	rm -f "$MNT/work.$n"/.git/*.lock "$MNT/work.$n"/.git/refs/heads/*.lock
	git -C "$MNT/work.$n" fsck --strict >"$T/fsck" 2>&1 || fail "fsck: $(cat "$T/fsck")"
	last=$(tail -n1 "$T/commits")
	[ "$(git -C "$MNT/work.$n" rev-list --count HEAD 2>/dev/null || echo 0)" -ge "${last:-0}" ] ||
		fail "commit $last is lost"
	rm -rf "$MNT/work.$n"
}

# every line acknowledged, in order, nothing else but perhaps one more
round_append()
{
	local lines have
	echo 0 >"$T/lines"
	crash_under do_append
	lines=$(cat "$T/lines")
	have=$(wc -l <"$MNT/log.$n" 2>/dev/null || echo 0)
	[ "$have" = "$lines" ] || [ "$have" = $((lines + 1)) ] || fail "$have lines, $lines were written"
	[ "$have" = 0 ] || seq -f 'line %.0f' "$have" | cmp -s - "$MNT/log.$n" || fail "the log is not whole"
}

round_sqlite()
{
	local rows have
	for mode in WAL DELETE; do
		sqlite3 "$MNT/$mode.$n.db" 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);' || fail "sqlite3"
		echo 0 >"$T/rows"
		crash_under do_sqlite $mode
		rows=$(cat "$T/rows")
		[ "$(sqlite3 "$MNT/$mode.$n.db" 'PRAGMA integrity_check;')" = ok ] ||
			fail "sqlite3 $mode: integrity_check"
		have=$(sqlite3 "$MNT/$mode.$n.db" 'SELECT count(*) FROM t;')
		[ "$have" = "$rows" ] || [ "$have" = $((rows + 1)) ] ||
			fail "sqlite3 $mode: $have rows, $rows were inserted"
		rm "$MNT/$mode.$n.db"*
	done
}

round_writers()
{
	local w name have
	mkdir "$MNT/w.$n"
	rm -f "$T"/written.*
	crash_under do_writers
	for w in 1 2 3 4 5 6 7 8; do
		: >>"$T/written.$w"
		while read -r name; do
			cmp -s "$T/part.$((${name#*.} % 20))" "$MNT/w.$n/$name" ||
				fail "writer $w: $name is not what was closed"
		done <"$T/written.$w"
		# one more each at most, and whole
		have=$(find "$MNT/w.$n" -name "$w.*" | wc -l)
		name=$(wc -l <"$T/written.$w")
		[ "$have" -le $((name + 1)) ] || fail "writer $w: $have files, $name were written"
		[ "$have" -le "$name" ] || cmp -s "$T/part.$((name % 20))" "$MNT/w.$n/$w.$name" ||
			fail "writer $w: half a file shows"
	done
	rm -rf "$MNT/w.$n"
}

for n in $(seq "$rounds"); do
	round_files
	round_git
	round_append
	command -v sqlite3 >/dev/null && round_sqlite
	round_writers
	vs_scrub_clean
	vs_admin gc >/dev/null || fail "gc"
	vs_admin gc --json >"$T/gc" || fail "gc"
	grep -q '"leaked_chunks": 0,*$' "$T/gc" || fail "gc finds more: $(cat "$T/gc")"
done
vs_unmount
