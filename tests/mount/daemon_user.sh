# As an ordinary user through fusermount3: mount, use, kill -9, mount again,
# unmount; others do not get in; nobody else may ask the daemon.
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null || skip "no setpriv to become another user"
	[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-uid"
	vs_unshare
	# a /dev/fuse that users may open, in this name space only
	if ! setpriv --reuid=65534 --regid=65534 --clear-groups sh -c ': <>/dev/fuse' 2>/dev/null; then
		mknod "$T/fuse" c 10 229 2>/dev/null && chmod 666 "$T/fuse" &&
			mount --bind "$T/fuse" /dev/fuse 2>/dev/null ||
			skip "/dev/fuse is not for users here"
		setpriv --reuid=65534 --regid=65534 --clear-groups sh -c ': <>/dev/fuse' 2>/dev/null ||
			skip "/dev/fuse is not for users here"
	fi
	as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"; }
	# every directory on the way must be passable
	as_user test -x "$VS_BIN/veristore" || {
		mkdir "$T/bin"
		cp "$VS_BIN/veristore" "$VS_BIN/veristore-admin" "$T/bin/"
		PATH=$T/bin:$PATH
	}
	chmod 755 "$T"
	mkdir "$T/home"
	chown 65534:65534 "$T/home"
	as_user test -x "$T/home" || skip "users cannot reach $T"
else
	as_user() { "$@"; }
	mkdir "$T/home"
fi
DATA=$T/home/data MNT=$T/home/mnt
as_user mkdir "$MNT"

start()
{
	as_user timeout 60 veristore "$DATA" "$MNT" "$@" >"$T/start.err" 2>&1 </dev/null
}

start || fail "start: $(cat "$T/start.err")"
vs_mounted || fail "not mounted"
as_user sh -c "echo hello >'$MNT/f' && mkdir '$MNT/d' && ln -s f '$MNT/l'" || fail "cannot write"
[ "$(as_user stat -c %u "$MNT/f")" = "$(as_user id -u)" ] || fail "owner"
if [ "$(id -u)" = 0 ]; then
	ls "$MNT" >/dev/null 2>&1 && fail "root gets in without allow_other"
	setpriv --reuid=65533 --regid=65533 --clear-groups \
		veristore-admin -s "$DATA" status >/dev/null 2>"$T/other.err"
	rc=$?
	[ $rc = 2 ] || fail "another user may ask the daemon: $rc $(cat "$T/other.err")"
	veristore-admin -s "$DATA" status >/dev/null || fail "root may not ask"
fi
as_user veristore-admin -s "$MNT" status >/dev/null || fail "the user may not ask"
vs_kill
start || fail "start over the dead mount: $(cat "$T/start.err")"
[ "$(as_user cat "$MNT/l")" = hello ] || fail "content after kill -9"
pid=$(vs_pid)
as_user fusermount3 -u "$MNT" || fail "unmount"
vs_wait 60 vs_gone "$pid" || fail "the daemon does not end"

if ! grep -q '^user_allow_other' /etc/fuse.conf 2>/dev/null; then
	start -o allow_other && fail "allow_other without user_allow_other"
	[ -s "$T/start.err" ] || fail "no reason given"
	vs_mounted && fail "mounted all the same"
fi
exit 0
