# Permissions as another user: owner, umask, sticky, set-gid directories, suid
# clearing, ACLs, xattrs of every name space; all of it after kill -9, too.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || skip "only root can become other users"
command -v setpriv >/dev/null || skip "no setpriv"

as() { setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"; }
chmod 755 "$T"
as 1001 test -x "$T" || skip "users cannot reach $T"
may() { as "$@" 2>/dev/null || fail "not allowed: as $*"; }
may_not() { as "$@" 2>/dev/null && fail "allowed: as $*"; return 0; }
mode() { [ "$(stat -c %a "$1")" = "$2" ] || fail "mode of $1: $(stat -c %a "$1"), not $2"; }
owner() { [ "$(stat -c %u:%g "$1")" = "$2" ] || fail "owner of $1: $(stat -c %u:%g "$1"), not $2"; }

vs_mount
cd "$MNT" || fail "cd"
chmod 755 .

# --- owner, umask, plain bits
may_not 1001 touch f
mkdir open && chmod 777 open && cd open || fail "mkdir"
may 1001 sh -c 'umask 027; echo secret >f; mkdir d; ln -s f l; mkfifo p'
owner f 1001:1001 && owner d 1001:1001 && owner l 1001:1001 && owner p 1001:1001
mode f 640 && mode d 750 && mode p 640
may_not 1002 cat f
may_not 1002 ls d
may_not 1002 sh -c 'echo x >>f'
may_not 1002 chmod 777 f
may_not 1002 touch -d 2000-01-01 f
may_not 1001 chown 1002 f
may 1001 chmod 604 f
may 1002 cat f >/dev/null
may 1002 mv f g # the directory allows it
may 1001 mv g f

# --- sticky
mkdir tmp && chmod 1777 tmp
may 1001 touch tmp/mine
may_not 1002 rm -f tmp/mine
may_not 1002 mv tmp/mine tmp/other
may 1002 touch tmp/his
may_not 1002 mv tmp/his tmp/mine
may 1001 rm tmp/mine

# --- set-gid directory
mkdir team && chgrp 2000 team && chmod 2777 team
may 1001 sh -c 'umask 022; touch team/f; mkdir team/d'
owner team/f 1001:2000 && owner team/d 1001:2000 && mode team/d 2755
may 1001 mkdir team/d/e && mode team/d/e 2755

# --- suid and sgid go with a change
may 1001 sh -c 'echo x >s; chmod 6777 s'
mode s 6777
may 1002 sh -c 'echo y >>s'
mode s 777
chmod 6777 s && may 1002 truncate -s 1 s && mode s 777
chmod 6777 s && may 1002 fallocate -l 100 s && mode s 777
chmod 6777 s && chown 1003 s && mode s 777
chmod 6777 s && echo root >>s && mode s 6777
may 1003 chmod 6777 s
chgrp 2000 s && may 1003 chmod 6777 s && mode s 4777 # not in the group

# --- xattrs
if command -v setfattr >/dev/null; then
	setfattr -n user.a -v one f || fail "user xattr"
	setfattr -n trusted.a -v two f || fail "trusted xattr"
	setfattr -n security.a -v three f || fail "security xattr"
	setfattr -n system.a -v four f 2>/dev/null && fail "a system xattr"
	setfattr -n user.a -v link -h l 2>/dev/null && fail "a user xattr of a link"
	may_not 1001 getfattr -n trusted.a f >/dev/null
	[ "$(as 1001 getfattr -d -m - f | grep -c trusted)" = 0 ] || fail "a user sees trusted"
	may_not 1001 setfattr -n security.b -v x f
	may_not 1002 setfattr -n user.a -v x f
	head -c 60000 /dev/zero | tr '\0' v >"$T/value"
	setfattr -n user.big -v "$(cat "$T/value")" f || fail "60000 bytes"
	[ "$(getfattr --only-values -n user.big f | cmp - "$T/value")" = "" ] || fail "60000 bytes back"
	for i in $(seq 100); do setfattr -n "user.n$i" -v "$i" f || fail "xattr $i"; done
	[ "$(getfattr -m 'user.n' f | grep -c '^user')" = 100 ] || fail "100 xattrs listed"
	setfattr -x user.big f && setfattr -x user.n50 f || fail "setfattr -x"
	getfattr -n user.n50 f >/dev/null 2>&1 && fail "a removed xattr"
fi

# --- ACLs
if command -v setfacl >/dev/null; then
	echo acl >acl && chmod 600 acl
	may_not 1001 cat acl
	setfacl -m u:1001:r acl || fail "setfacl"
	may 1001 cat acl >/dev/null
	may_not 1001 sh -c 'echo >>acl'
	may_not 1002 cat acl
	mode acl 640 # the mask
	chmod 600 acl
	may_not 1001 cat acl
	chmod 660 acl
	may 1001 cat acl >/dev/null
	mkdir acldir && setfacl -d -m u:1001:rwx,g::r-x,o::--- acldir || fail "default ACL"
	(umask 077; echo x >acldir/f; mkdir acldir/sub)
	getfacl -c acldir/f 2>/dev/null | grep -q '^user:1001:rwx' || fail "not inherited: $(getfacl acldir/f)"
	getfacl -c acldir/sub 2>/dev/null | grep -q '^default:user:1001:rwx' || fail "not handed down"
	chmod o+x acldir && setfacl -m u:1001:rwx acldir
	may 1001 cat acldir/f >/dev/null
	setfacl -b acldir/f && [ "$(getfacl -c acldir/f | grep -c 1001)" = 0 ] || fail "setfacl -b"
fi

# --- a few special cases
may 1001 ln f hard 2>/dev/null || fail "link to one's own"
mkdir -m 700 private && touch private/x
may_not 1001 stat private/x
may_not 1001 rm -rf private
touch nobody && chmod 000 nobody && cat nobody || fail "root reads everything"
if command -v capsh >/dev/null && command -v setcap >/dev/null; then
	cp /bin/true cap && setcap cap_net_raw+ep cap && echo >>cap
	[ -z "$(getcap cap)" ] || fail "a capability survives a write"
fi

find . -printf '%p %m %U:%G %n\n' | sort >"$T/want"
! command -v getfacl >/dev/null || getfacl -R . >"$T/acl.want" 2>/dev/null
cd / || exit 1
vs_remount
cd "$MNT/open" || fail "cd"
find . -printf '%p %m %U:%G %n\n' | sort | cmp - "$T/want" || fail "attributes after kill -9"
if [ -e "$T/acl.want" ]; then
	getfacl -R . 2>/dev/null | cmp - "$T/acl.want" || fail "ACLs after kill -9"
fi
! command -v getfattr >/dev/null || [ "$(getfattr --only-values -n trusted.a f)" = two ] ||
	fail "xattr after kill -9"
may_not 1002 rm -f tmp/his/.. tmp/none private/x
cd / || exit 1
vs_scrub_clean
vs_unmount
