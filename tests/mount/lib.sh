# Helpers for the mount cases; sourced by each of them, first thing:
#
#   . "$(dirname "$0")/lib.sh"
#
# It skips (exit 77) where FUSE cannot be mounted, makes a directory of its own
# ($T, below TMPDIR) with an empty $DATA (not there yet) and $MNT, and takes
# everything down again when the case ends, however it ends.
#
#   vs_mount [OPTIONS]       start a daemon in the background on $DATA and $MNT
#   vs_mount_fg [OPTIONS]    the same with -f (messages go to $T/daemon.err)
#   vs_kill                  kill -9 and wait until it is gone; the mount is stale
#   vs_unmount               unmount in order and wait until the daemon is gone
#   vs_remount [OPTIONS]     vs_kill, then vs_mount
#   vs_pid                   print the pid of the daemon
#   vs_mounted               whether a veristore is mounted on $MNT
#   vs_wait SECONDS CMD...   until CMD succeeds; fails when the time is over
#   vs_admin ARGS...         veristore-admin -s $DATA ARGS
#   vs_scrub_clean           fail unless scrub finds nothing
#   vs_unshare               go on in a mount name space of our own (as root), from the top
#   fail TEXT                end the case as failed
#   skip TEXT                end the case as skipped
#
# $SRC is the top of the source tree.  DATA and MNT may be changed by the case as
# long as they stay below $T.  Daemons are ended by the pid in DATA's
# veristore.pid, never by name.
set -u

skip()
{
	echo "$*"
	exit 77
}

fail()
{
	echo "FAIL: $*"
	echo "  at $(caller 0)"
	for f in "$T"/*.err "$T"/*/veristore.log; do
		[ -s "$f" ] && echo "--- $f" && tail -n 20 "$f"
	done
	exit 1
}

[ -e /dev/fuse ] || skip "no /dev/fuse here"
command -v fusermount3 >/dev/null || skip "no fusermount3 here (package fuse3)"
(: <>/dev/fuse) 2>/dev/null || skip "/dev/fuse cannot be opened: not permitted"

SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SELF=$SRC/tests/mount/${0##*/}
VS_BIN=${VS_BIN:-$SRC/build/release}
[ -x "$VS_BIN/veristore" ] || skip "veristore was not built"
PATH=$VS_BIN:$PATH

T=$(mktemp -d "${TMPDIR:-/tmp}/vs.XXXXXX") || exit 1
# a process that dies with the mount must not keep the directory busy
cd / || exit 1
DATA=$T/data
MNT=$T/mnt
mkdir "$MNT"

vs_pid()
{
	head -n1 "$DATA/veristore.pid" 2>/dev/null
}

vs_mounted()
{
	awk -v m="$MNT" '$5 == m && / - fuse\.veristore / {found = 1} END {exit !found}' \
		/proc/self/mountinfo
}

# vs_wait SECONDS CMD...
vs_wait()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

vs_gone() # PID
{
	# a zombie is gone too: its parent (a container's init) may never reap it
	case $(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null) in
	'' | Z | X) return 0 ;;
	esac
	return 1
}

vs_mount()
{
	timeout 60 veristore "$DATA" "$MNT" ${1:+-o "$1"} >"$T/start.err" 2>&1 </dev/null ||
		fail "start failed: $(cat "$T/start.err")"
	vs_mounted || fail "started, but nothing is mounted"
}

vs_mount_fg()
{
	veristore "$DATA" "$MNT" -f ${1:+-o "$1"} >"$T/daemon.err" 2>&1 </dev/null &
	vs_wait 60 vs_mounted || fail "the mount did not come"
	vs_wait 60 timeout 5 stat "$MNT/." >/dev/null 2>&1 || fail "the mount does not answer"
}

vs_kill()
{
	local pid
	pid=$(vs_pid)
	[ -n "$pid" ] || fail "no pid file"
	kill -KILL "$pid" 2>/dev/null
	vs_wait 30 vs_gone "$pid" || fail "the daemon does not die"
}

vs_unmount()
{
	local pid
	pid=$(vs_pid)
	vs_wait 10 fusermount3 -u "$MNT" 2>"$T/umount.err" ||
		fail "unmount failed: $(cat "$T/umount.err")"
	[ -z "$pid" ] || vs_wait 60 vs_gone "$pid" || fail "the daemon does not end after the unmount"
}

vs_remount()
{
	vs_kill
	vs_mount "$@"
}

vs_admin()
{
	veristore-admin -s "$DATA" "$@"
}

vs_scrub_clean()
{
	vs_admin scrub >"$T/scrub.out" 2>&1 || fail "scrub is not clean: $(cat "$T/scrub.out")"
}

# What the case mounts over /dev or /sbin is then seen by nobody else.
vs_unshare()
{
	[ -z "${VS_UNSHARED:-}" ] || return 0
	unshare -m true 2>/dev/null || skip "no mount name spaces here"
	trap - EXIT
	rm -rf "$T"
	VS_UNSHARED=1 exec unshare -m --propagation private bash "$SELF"
}

# Everything of this case, found by pid files and by mount points below $T.
vs_cleanup()
{
	local rc=$? f pid m
	trap - EXIT INT TERM HUP
	find "$T" -xdev -name '*.pid' -type f 2>/dev/null | while read -r f; do
		pid=$(head -n1 "$f" | tr -cd 0-9)
		case $(readlink "/proc/${pid:-none}/exe" 2>/dev/null) in
		*/veristore | */veristore' (deleted)') kill -CONT "$pid" && kill -KILL "$pid" ;;
		esac
	done
	awk '{print $5}' /proc/self/mountinfo | tac | while read -r m; do
		m=$(printf '%b' "$m")
		case $m in
		"$T"/*) umount -l "$m" 2>/dev/null || fusermount3 -u -z "$m" 2>/dev/null ;;
		esac
	done
	for pid in $(jobs -p); do
		kill -KILL "$pid" 2>/dev/null
	done
	rm -rf --one-file-system "$T"
	exit $rc
}
trap vs_cleanup EXIT
trap 'exit 130' INT TERM HUP
