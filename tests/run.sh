#!/bin/bash
# Run the built tests and count them.
#
#   run.sh [NAME...]    NAME: a folder (unit crash sim fuzz mount), a program
#                       (test_base, unit/test_base) or a glob of them
#
# Environment: VARIANT (release), TEST_SECONDS per program (300), JOBS (2).
# Each test gets TMPDIR, a directory of its own, and VS_BIN, the directory of
# the programs.  A daemon a test starts must have its pid in a file *.pid below
# TMPDIR: that is how a later run cleans up after one that was killed.  cmocka
# tests count one by one, other programs as one each; exit 77 = skipped.
set -u
cd "$(dirname "$0")/.." || exit 1

build=$PWD/build/${VARIANT:=release}
limit=${TEST_SECONDS:-300}
jobs=${JOBS:-2}
top=${TMPDIR:-/tmp}
run=$top/veristore-test.$$

start_time() # of process $1; empty when there is none
{
	local s
	s=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	s=${s##*) }
	set -- $s
	echo "${20}"
}

kill_tree()
{
	local c
	for c in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		kill_tree "$c"
	done
	kill -TERM "$1" 2>/dev/null
}

# Take down mounts and daemons below directory $1, then the directory.
sweep()
{
	local f pid dir
	find "$1" -xdev -name '*.pid' -type f 2>/dev/null | while read -r f; do
		pid=$(head -n1 "$f" | tr -cd 0-9)
		[ -n "$pid" ] || continue
		case $(readlink "/proc/$pid/exe" 2>/dev/null) in
		*/veristore | */veristore' (deleted)') kill -KILL "$pid" ;;
		esac
	done
	awk '$3 == "fuse.veristore" {print $2}' /proc/self/mounts | while read -r dir; do
		dir=$(printf '%b' "$dir")
		case $dir in
		"$1"/*) fusermount3 -u -z "$dir" 2>/dev/null || umount -l "$dir" ;;
		esac
	done
	rm -rf --one-file-system "$1"
}

sweep_dead_runs()
{
	local d pid born
	for d in "$top"/veristore-test.*; do
		[ -d "$d" ] || continue
		[ -O "$d" ] || continue
		read -r pid born 2>/dev/null <"$d/run" || { pid=${d##*.}; born=; }
		[ "$(start_time "$pid")" = "${born:-}" ] && [ -n "$born" ] && continue
		[ -z "$born" ] && [ -d "/proc/$pid" ] && continue
		# the tests of a run that was killed may still be going
		cat "$d"/*.running 2>/dev/null | while read -r pid born; do
			[ "$(start_time "$pid")" = "$born" ] && kill_tree "$pid"
		done
		sweep "$d"
	done
}

# Every test as "folder/name".
all_tests()
{
	local f
	for f in "$build"/tests/{unit,crash,sim,fuzz}/*; do
		[ -x "$f" ] && [ -f "$f" ] || continue
		f=${f#"$build"/tests/}
		[ -e "tests/$f.c" ] && echo "$f"
	done
	for f in tests/mount/*.sh; do
		case $f in
		tests/mount/lib*.sh | 'tests/mount/*.sh') ;;
		*) f=${f#tests/} && echo "${f%.sh}" ;;
		esac
	done
}

# select_tests NAME... <tests
select_tests()
{
	local t n
	while read -r t; do
		[ $# -gt 0 ] || echo "$t"
		for n; do
			# shellcheck disable=SC2053
			if [[ $t == $n || ${t#*/} == $n || ${t%%/*} == "$n" ]]; then
				echo "$t"
				break
			fi
		done
	done
}

# Run test $1 with its output in $2; the exit status is the program's.
run_test()
{
	local t=$1 out=$2
	local -a cmd
	case $t in
	mount/*) cmd=(bash "tests/$t.sh") ;;
	fuzz/*) cmd=("$build/tests/$t" "tests/fuzz/corpus/${t#fuzz/fuzz_}") ;;
	*) cmd=("$build/tests/$t") ;;
	esac
	TMPDIR=$run/tmp/${t//\//.} VS_BIN=$build CMOCKA_MESSAGE_OUTPUT=TAP \
		ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1} \
		UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1} \
		TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1} \
		timeout -k 10 "$limit" "${cmd[@]}" >"$out" 2>&1 </dev/null
}

# Print "passed failed skipped" from exit status $1 and output $2 of test $3.
count()
{
	awk -v rc="$1" -v tap="$(case $3 in unit/* | crash/* | sim/*) echo 1 ;; esac)" '
	tap && /^1\.\.[0-9]+$/ {plan += substr($0, 4)}
	tap && /^ok [0-9]+/ {p++}
	tap && /^not ok [0-9]+ # SKIP/ {s++; next}
	tap && /^not ok [0-9]+/ {f++}
	END {
		if (rc == 77 && !f && !p)
			s = s ? s : 1
		else if (plan && p + f + s < plan && rc == 0)
			f++ # ended in the middle of a group
		else if (rc != 0 && !f)
			f++
		else if (!plan && rc == 0)
			p = 1
		print p + 0, f + 0, s + 0
	}' "$2"
}

# Run test $1, print its line, leave its counts in the results.
one()
{
	local t=$1 id=${1//\//.} rc began=$EPOCHREALTIME secs p f s word note=
	local out=$run/$id.out
	mkdir -p "$run/tmp/$id"
	local me=$BASHPID
	echo "$me $(start_time "$me")" >"$run/$id.running"
	run_test "$t" "$out"
	rc=$?
	secs=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f", b - a}')
	[ "$rc" = 124 ] || [ "$rc" = 137 ] && note=" (killed after $limit s)"
	read -r p f s <<<"$(count "$rc" "$out" "$t")"
	word=PASS
	[ "$s" -gt 0 ] && [ "$p" = 0 ] && word=SKIP && note=": $(tail -n1 "$out")"
	[ "$f" -gt 0 ] && word=FAIL && note="$note exit $rc"
	{
		flock 9
		echo "$word $t $secs$note"
		[ $word = FAIL ] && sed 's/^/    /' "$out"
		echo "$p $f $s" >>"$run/counts"
	} 9>>"$run/lock"
	rm -f "$run/$id.running"
	sweep "$run/tmp/$id"
}

stop()
{
	trap - EXIT INT TERM HUP
	local p
	for p in $(jobs -p); do
		kill_tree "$p"
	done
	sweep "$run"
	exit "$1"
}

sweep_dead_runs
mkdir -p "$run/tmp" || exit 1
echo "$$ $(start_time $$)" >"$run/run"
trap 'stop 130' INT TERM HUP
trap 'stop $?' EXIT

mapfile -t tests < <(all_tests | select_tests "$@")
if [ $# -gt 0 ] && [ ${#tests[@]} = 0 ]; then
	echo "no test matches: $*" >&2
fi
: >"$run/counts"
for t in "${tests[@]}"; do
	[[ $t == mount/* ]] && continue
	while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	one "$t" &
done
wait
for t in "${tests[@]}"; do
	if [[ $t == mount/* ]]; then
		one "$t" &
		wait
	fi
done

read -r p f s <<<"$(awk '{p += $1; f += $2; s += $3} END {print p + 0, f + 0, s + 0}' "$run/counts")"
[ "$(wc -l <"$run/counts")" = ${#tests[@]} ] || f=$((f + 1))
[ "$s" -gt 0 ] && skipped=", $s skipped" || skipped=
echo "$p passed, $f failed$skipped"
[ "$f" = 0 ] && [ ${#tests[@]} -gt 0 ]
