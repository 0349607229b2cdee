# mount -t fuse.veristore, mount -t veristore through the helper, an fstab line,
# and the options that mount(8), fstab and systemd write there.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" = 0 ] || skip "mount(8) wants root"
command -v mount.fuse3 >/dev/null || [ -x /sbin/mount.fuse3 ] || skip "no mount.fuse3 here"
vs_unshare
# mount(8) hands no PATH on: put the programs where a shell looks without one
mkdir "$T/local"
cp "$VS_BIN/veristore" "$VS_BIN/veristore-admin" "$T/local/"
mount --bind "$T/local" /usr/local/bin 2>/dev/null || skip "nothing can be mounted over /usr/local/bin"

mounted_with() # OPTION...: all of them in the mount's options
{
	local o
	for o; do
		awk -v m="$MNT" '$5 == m {print "," $6 ","}' /proc/self/mountinfo |
			grep -q ",$o," || fail "option $o is not set: $(grep " $MNT " /proc/self/mountinfo)"
	done
}

off()
{
	local pid
	pid=$(vs_pid)
	umount "$MNT" || fail "umount"
	vs_wait 60 vs_gone "$pid" || fail "the daemon does not end"
}

mount -t fuse.veristore "$DATA" "$MNT" || fail "mount -t fuse.veristore"
vs_mounted || fail "not mounted"
echo one >"$MNT/f"
off

mount -t fuse.veristore "$DATA" "$MNT" -o rw,nosuid,nodev,noatime,noexec,cache=16M || fail "options"
mounted_with rw nosuid nodev noatime noexec
[ "$(cat "$MNT/f")" = one ] || fail "content"
off

mount -t fuse.veristore "$DATA" "$MNT" -o ro || fail "ro"
mounted_with ro
[ "$(cat "$MNT/f")" = one ] || fail "content, ro"
echo two 2>/dev/null >"$MNT/f" && fail "ro can be written"
veristore-admin -s "$MNT" status | grep -q '^read-only' || fail "status does not say read-only"
off

# what ends up here from fstab
mount -t fuse.veristore "$DATA" "$MNT" \
	-o defaults,noauto,nofail,_netdev,x-systemd.automount,x-systemd.requires=a.mount,comment=x,user ||
	fail "options of fstab"
off

# an error comes through
mount -t fuse.veristore "$DATA" "$MNT" -o cache=1 2>"$T/mount.err" && fail "cache=1 was taken"
grep -q 'cache=1' "$T/mount.err" || fail "the reason is lost: $(cat "$T/mount.err")"

# the line in fstab, and mount by mount point alone
cat >"$T/fstab" <<END
$DATA $MNT fuse.veristore rw,noatime,_netdev,noauto,durability=fsync 0 0
END
mount -T "$T/fstab" "$MNT" || fail "mount by fstab"
mounted_with noatime
vs_admin status --json | grep -q '"durability": "fsync"' || fail "own option lost"
off

# the helper
helper=$SRC/tools/mount.veristore
"$helper" "$DATA" "$MNT" -o rw,nodev,noatime || fail "mount.veristore"
mounted_with nodev noatime
off
"$helper" "$DATA" "$MNT" -f && vs_mounted && fail "--fake mounts"
mkdir "$T/sbin"
if mount -t tmpfs none "$T/sbin" 2>/dev/null && cp -a /sbin/mount* "$T/sbin/" 2>/dev/null &&
	cp "$helper" "$T/sbin/mount.veristore" && mount --bind "$T/sbin" /sbin 2>/dev/null; then
	if [ -x /sbin/mount.veristore ]; then
		mount -t veristore "$DATA" "$MNT" -o noatime || fail "mount -t veristore"
		mounted_with noatime
		umount "$MNT" || fail "umount"
		vs_wait 60 test ! -e "$DATA/veristore.pid" || fail "the daemon does not end"
	fi
	umount -l /sbin
fi
exit 0
