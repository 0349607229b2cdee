# git: init, commit, branch, merge, clone, fsck, gc, worktree; a second start sees the same.
. "$(dirname "$0")/lib.sh"
command -v git >/dev/null || skip "no git"

export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
export GIT_CONFIG_NOSYSTEM=1 HOME=$T
git config --global init.defaultBranch main

vs_mount
git init -q "$MNT/a" || fail "init"
cd "$MNT/a" || fail "cd"
for i in $(seq 60); do
	mkdir -p "d$((i % 5))"
	seq "$i" $((i * 40)) >"d$((i % 5))/f$i"
	chmod $((i % 2 ? 755 : 644)) "d$((i % 5))/f$i"
done
ln -s d1/f1 link
git add . && git commit -qm one || fail "commit"
git checkout -qb side && echo x >>d1/f1 && git mv d2 dir2 && git commit -qam side || fail "branch"
git checkout -q main && echo y >>d3/f3 && git commit -qam main || fail "checkout"
git merge -q side -m merge >/dev/null || fail "merge"
git tag v1 && git stash list >/dev/null && git worktree add -q "$MNT/wt" side || fail "worktree"
[ -z "$(git status --porcelain)" ] || fail "not clean: $(git status --porcelain)"
git clone -q --no-local . "$MNT/b" || fail "clone"
git clone -q --local . "$MNT/c" || fail "clone with hard links"
git gc -q --prune=now || fail "gc"
for r in a b c; do
	git -C "$MNT/$r" fsck --strict >"$T/fsck" 2>&1 || fail "fsck $r: $(cat "$T/fsck")"
	[ "$(git -C "$MNT/$r" rev-parse HEAD)" = "$(git rev-parse v1)" ] || fail "HEAD of $r"
done
head=$(git rev-parse v1)
cd / || exit 1
vs_remount
for r in a b c; do
	git -C "$MNT/$r" fsck --strict >"$T/fsck" 2>&1 || fail "fsck $r: $(cat "$T/fsck")"
	[ "$(git -C "$MNT/$r" rev-parse HEAD)" = "$head" ] || fail "HEAD of $r after kill -9"
	[ -z "$(git -C "$MNT/$r" status --porcelain)" ] || fail "$r is not clean after kill -9"
done
rm -rf "$MNT/a" "$MNT/b" "$MNT/c" "$MNT/wt" || fail "rm"
[ -z "$(ls -A "$MNT")" ] || fail "left: $(ls -A "$MNT")"
vs_scrub_clean
vs_unmount
