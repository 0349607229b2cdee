#!/bin/sh
# A file system to try:  run.sh start|stop   (make run, make stop)
#
# Environment: DATA (./veristore-data), MNT (./mnt), BIN (./build/bin),
# OPTIONS (mount options).
set -eu
cd "$(dirname "$0")/.."
data=${DATA:-veristore-data}
mnt=${MNT:-mnt}
bin=${BIN:-build/bin}

# The directory as /proc writes it; MNT need not exist.
absolute()
{
	case $1 in
	/*) echo "$1" ;;
	*) echo "$(pwd -P)/$1" ;;
	esac
}

mounted()
{
	# blanks and backslashes stand as \ooo in mountinfo
	while read -r _ _ _ _ point rest; do
		[ "$(printf '%b' "$(echo "$point" | sed 's/\\/\\0/g')")" = "$1" ] || continue
		case $rest in *' - fuse.veristore '*) return 0 ;; esac
	done </proc/self/mountinfo
	return 1
}

# Whether what is mounted answers; a daemon that was killed leaves a dead mount.
alive()
{
	timeout 10 "$bin/veristore-admin" -s "$1" status >/dev/null 2>&1
}

hints()
{
	cat <<END

  try it        cp -a /etc/services $mnt/ && ls -l $mnt
                git clone . $mnt/veristore
  look at it    $bin/veristore-admin -s $mnt status
  kill it       kill -9 \$(cat $data/veristore.pid) && make run    # nothing is lost
  unmount       make stop    (or: fusermount3 -u $mnt)
END
}

no_fuse()
{
	echo "veristore: $1" >&2
	cat >&2 <<END
FUSE is needed to mount.  On a real or virtual machine: modprobe fuse.  In a
container: start it with --device /dev/fuse --cap-add SYS_ADMIN.  As an ordinary
user /dev/fuse must have mode 0666 and fusermount3 be installed (package fuse3).
END
	exit 1
}

start()
{
	path=$(absolute "$mnt")
	if mounted "$path" && alive "$data"; then
		echo "already mounted: $data on $mnt"
		hints
		return
	fi
	[ -x "$bin/veristore" ] || no_fuse "$bin/veristore was not built (no libfuse3?)"
	[ -e /dev/fuse ] || no_fuse "there is no /dev/fuse"
	# a dead mount makes mkdir fail; the daemon takes it away
	mounted "$path" || mkdir -p "$mnt"
	"$bin/veristore" "$data" "$mnt" ${OPTIONS:+-o "$OPTIONS"} || {
		[ -r /dev/fuse ] && [ -w /dev/fuse ] || no_fuse "/dev/fuse cannot be opened"
		exit 1
	}
	echo "mounted: $data on $mnt"
	hints
}

# The unmount returns before the last commit is written; wait for the process.
stop()
{
	path=$(absolute "$mnt")
	pid=$(cat "$data/veristore.pid" 2>/dev/null || :)
	if ! mounted "$path"; then
		echo "not mounted: $mnt"
		return
	fi
	fusermount3 -u "$mnt" 2>/dev/null || umount "$mnt" || {
		echo "veristore: $mnt is in use; look for who with: fuser -vm $mnt" >&2
		exit 1
	}
	i=0
	while [ -n "$pid" ] && [ -e "$data/veristore.pid" ] && kill -0 "$pid" 2>/dev/null; do
		i=$((i + 1))
		[ $i -lt 600 ] || break
		sleep 0.1
	done
	echo "unmounted: $mnt (the data stays in $data)"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*)
	echo "usage: run.sh start|stop" >&2
	exit 1
	;;
esac
