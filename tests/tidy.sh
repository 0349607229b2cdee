#!/bin/sh
# Check the house rules that a script can check.
#
#   tidy.sh                 the source tree
#   tidy.sh faults FILE     every fault `- Fnn` of FILE is named by a test
#   tidy.sh selftest        a tree with one breach of each rule is reported
#
# Prints one line per breach ("file:line: text"); exit 1 when there is one.
set -u
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
cd "${TIDY_ROOT:-$(dirname "$self")/..}" || exit 2

# Modules that touch nothing outside: no OS header, lock, clock or errno.
PURE='engine/base/bytes engine/base/checksum engine/record engine/keys engine/txn
	engine/tree_page consensus/raft consensus/raft_* consensus/quorum consensus/progress
	consensus/membership consensus/message'
PURE_HEADERS='^(stdbool|stddef|stdint|inttypes|limits|string|stdlib|stdalign|isa-l/crc|xxhash)\.h$'
# Where the errno of the system comes in or goes out.
ERRNO='^(engine/base/(err|env_posix)|consensus/(transport|tls|socket)[a-z_]*|fs/(fuse|mount)[a-z_]*|tools/[a-z_]*|tests/.*)\.c$'
FUNCTION_LINES=100
C_LINES=900
H_LINES=300

sources()
{
	find engine consensus fs tools tests -name '*.[ch]' -type f 2>/dev/null | sort
}

# Each source with comments and string contents blanked, as "file:line:code".
code()
{
	sources | xargs -r awk '
	FNR == 1 {inside = 0}
	{
		s = $0; out = ""
		include = s ~ /^[ \t]*#[ \t]*include/
		while (s != "") {
			if (inside) {
				i = index(s, "*/")
				if (!i) break
				s = substr(s, i + 2); inside = 0
			} else if (substr(s, 1, 2) == "/*") {
				inside = 1; s = substr(s, 3)
			} else if (substr(s, 1, 2) == "//") {
				break
			} else if (!include && match(s, /^"([^"\\]|\\.)*"/)) {
				out = out "\"\""; s = substr(s, RLENGTH + 1)
			} else if (match(s, /^\047([^\047\\]|\\.)*\047/)) {
				out = out "0"; s = substr(s, RLENGTH + 1)
			} else {
				out = out substr(s, 1, 1); s = substr(s, 2)
			}
		}
		print FILENAME ":" FNR ":" out
	}'
}

# engine/base < engine < consensus < fs < tools; tests see all.
check_includes()
{
	awk -F: '
	function rank(p) {
		if (p ~ /^engine\/base\//) return 1
		if (p ~ /^engine\//) return 2
		if (p ~ /^consensus\//) return 3
		if (p ~ /^fs\//) return 4
		if (p ~ /^tools\//) return 5
		if (p ~ /^tests\//) return 6
		return 0
	}
	$3 ~ /^[ \t]*#[ \t]*include[ \t]*"/ {
		split($3, q, "\"")
		if (!rank(q[2]))
			print $1 ":" $2 ": include \"" q[2] "\" is not a path from the top"
		else if (rank(q[2]) > rank($1))
			print $1 ":" $2 ": includes the higher layer " q[2]
	}' "$1"
}

check_pure()
{
	for p in $PURE; do
		for f in $p.c $p.h; do
			[ -f "$f" ] || continue
			awk -F: -v f="$f" -v ok="$PURE_HEADERS" '
			$1 != f || $3 !~ /^[ \t]*#[ \t]*include/ {next}
			match($3, /<[^>]*>/) {
				h = substr($3, RSTART + 1, RLENGTH - 2)
				if (h !~ ok)
					print f ":" $2 ": pure file includes <" h ">"
			}
			/engine\/base\/(thread|env_posix)\.h/ {
				print f ":" $2 ": pure file includes a lock or the OS"
			}' "$1"
		done
	done
	awk -F: -v ok="$ERRNO" '/#[ \t]*include[ \t]*<errno\.h>/ && $1 !~ ok {
		print $1 ":" $2 ": errno outside the edges"
	}' "$1"
}

check_calls()
{
	word='(^|[^_[:alnum:]>.])'
	grep -E "$word(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca|rand|srand)[[:space:]]*\(" "$1" |
		sed -E 's/^([^:]*:[0-9]+):.*/\1: banned call/'
	grep -v '^tests/' "$1" | grep -E "$word(system|popen)[[:space:]]*\(" |
		sed -E 's/^([^:]*:[0-9]+):.*/\1: shell call outside tests/'
	grep -v '^tests/' "$1" | grep -E "$word(assert[[:space:]]*\()|<assert\.h>" |
		sed -E 's/^([^:]*:[0-9]+):.*/\1: libc assert, use vs_assert/'
	grep -E '^(engine|consensus)/' "$1" | grep -v '^engine/base/assert\.c:' |
		grep -E "$word(printf|fprintf|perror|syslog|puts)[[:space:]]*\(" |
		sed -E 's/^([^:]*:[0-9]+):.*/\1: a library logs/'
}

check_sizes()
{
	sources | xargs -r awk -v max="$FUNCTION_LINES" -v c="$C_LINES" -v h="$H_LINES" '
	function finish() {
		limit = file ~ /\.h$/ ? h : c
		if (file && lines > limit)
			print file ":" lines ": file has more than " limit " lines"
	}
	FNR == 1 {finish(); file = FILENAME; open = 0}
	{lines = FNR}
	/^\{$/ {open = FNR}
	/^\}/ && open {
		if (FNR - open - 1 > max)
			print FILENAME ":" open ": function has " FNR - open - 1 " lines, more than " max
		open = 0
	}
	END {finish()}'
}

check_text()
{
	{ sources; find . -maxdepth 2 \( -name '*.sh' -o -name '*.md' -o -name Makefile \) \
		-not -path './build/*' -not -path ./tests/tidy.sh; } |
		xargs -r grep -nHwE 'TODO|FIXME|XXX' | sed -E 's/^([^:]*:[0-9]+):.*/\1: unfinished mark/'
	sources | grep '\.h$' | while read -r f; do
		head -n1 "$f" | grep -q '^/\*' || echo "$f:1: header without a first comment"
		guard=$(sed -n 's/^#ifndef \([A-Z0-9_]*_H\)$/\1/p' "$f" | head -n1)
		[ -n "$guard" ] && grep -q "^#define $guard\$" "$f" || echo "$f:1: no include guard"
	done
}

# A number as a word or as a part of a test's name.
number()
{
	echo "(^|[^A-Za-z0-9])$1([^0-9]|\$)"
}

# Each invariant "- E3 ..." of a folder's README has code and a test.
check_invariants()
{
	for row in E:engine C:consensus V:fs; do
		dir=${row#*:}
		[ -f "$dir/README.md" ] || continue
		sed -nE "s/^[-*] +\**(${row%%:*}[0-9]+)\b.*/\1/p" "$dir/README.md" | while read -r n; do
			grep -rqE --include='*.[ch]' "$(number "$n")" "$dir" ||
				echo "$dir/README.md:1: invariant $n has no assert or comment in code"
			grep -rqE "$(number "$n")" tests --include='*.[ch]' --include='*.sh' --include='*.txt' ||
				echo "$dir/README.md:1: invariant $n has no test"
		done
	done
}

check_faults()
{
	sed -nE 's/^[-*] +(F[0-9]+)\b.*/\1/p' "$1" | while read -r n; do
		grep -rqE --include='*.[ch]' --include='*.sh' --include='*.txt' "$(number "$n")" tests ||
			echo "$1:1: fault $n has no test"
	done
}

all()
{
	tmp=$(mktemp) || exit 2
	trap 'rm -f "$tmp"' EXIT
	code >"$tmp"
	check_includes "$tmp"
	check_pure "$tmp"
	check_calls "$tmp"
	check_sizes
	check_text
	check_invariants
}

# expect TEXT: the last report has it
expect()
{
	grep -qF "$1" "$dir/report" || { echo "selftest: not reported: $1"; cat "$dir/report"; exit 1; }
}

# seed FILE LINE...: make a file of the tree under test
seed()
{
	mkdir -p "$dir/$(dirname "$1")"
	f=$dir/$1
	shift
	printf '%s\n' "$@" >"$f"
}

selftest()
{
	dir=$(mktemp -d) || exit 2
	trap 'rm -rf "$dir"' EXIT
	seed engine/a.c '#include "consensus/b.h"' '#include "a.h"' '#include <errno.h>' \
		'/* strcpy(1) */ char *s = "sprintf(";' '	strcpy(a, b);' '	system(a);' \
		'	assert(a);' '	printf(a);' '	x->system(a); vs_assert(a); snprintf(a);'
	seed engine/record.c '#include <unistd.h>' '/* TO''DO */'
	seed consensus/b.h 'int x;'
	{ echo 'int f(void)'; echo '{'; yes '	x();' | head -n $((FUNCTION_LINES + 1)); echo '}'; } \
		>"$dir/engine/long.c"
	yes '' | head -n $((C_LINES + 1)) >"$dir/engine/big.c"
	seed engine/README.md '- E1 has all' '- E2 has no test' '- E3 has no code'
	seed engine/inv.c '/* E1 E2 */'
	seed tests/unit/t.c '/* E1 E3 F07 */'
	seed faults.md '- F07 a' '- F08 b'

	TIDY_ROOT=$dir sh "$self" >"$dir/report" && { echo 'selftest: exit 0'; exit 1; }
	expect 'engine/a.c:1: includes the higher layer'
	expect 'engine/a.c:2: include "a.h" is not a path'
	expect 'engine/a.c:3: errno outside'
	expect 'engine/a.c:5: banned call'
	expect 'engine/a.c:6: shell call'
	expect 'engine/a.c:7: libc assert'
	expect 'engine/a.c:8: a library logs'
	expect 'engine/record.c:1: pure file'
	expect 'engine/record.c:2: unfinished'
	expect 'consensus/b.h:1: header without'
	expect 'consensus/b.h:1: no include guard'
	expect 'engine/long.c:2: function has 101'
	expect 'engine/big.c:901: file has more'
	expect 'invariant E2 has no test'
	expect 'invariant E3 has no assert'
	[ "$(wc -l <"$dir/report")" = 15 ] || { echo 'selftest: too much reported:'; cat "$dir/report"; exit 1; }
	TIDY_ROOT=$dir sh "$self" faults "$dir/faults.md" >"$dir/report"
	expect 'fault F08 has no test'
	[ "$(wc -l <"$dir/report")" = 1 ] || { echo 'selftest: faults'; exit 1; }
}

case ${1:-all} in
all) found=$(all) ;;
faults) found=$(check_faults "${2:?usage: tidy.sh faults FILE}") ;;
selftest)
	selftest
	exit
	;;
*)
	echo 'usage: tidy.sh [faults FILE | selftest]' >&2
	exit 2
	;;
esac
[ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
