# sqlite3: transactions, rollback, both journals, two writers, vacuum, backup; after kill -9.
. "$(dirname "$0")/lib.sh"
command -v sqlite3 >/dev/null || skip "no sqlite3"

sql() { sqlite3 -cmd '.timeout 20000' "$@" 2>&1; }
vs_mount
for mode in delete wal truncate persist; do
	db=$MNT/$mode.db
	[ "$(sql "$db" "PRAGMA journal_mode=$mode;")" = $mode ] || fail "journal_mode=$mode"
	sql "$db" 'CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO t SELECT i, randomblob(i % 3000) FROM n;' >"$T/out" || fail "$mode: $(cat "$T/out")"
	sql "$db" 'BEGIN; DELETE FROM t WHERE id % 2; ROLLBACK;' || fail "$mode: rollback"
	[ "$(sql "$db" 'SELECT count(*) FROM t;')" = 2000 ] || fail "$mode: rows"
	# two writers wait for each other
	for w in 1 2; do
		(for k in $(seq 10); do
			sql "$db" "INSERT INTO t (v) VALUES ('w$w $k');" || echo failed
		done >"$T/w$w") &
	done
	wait
	grep . "$T/w1" "$T/w2" && fail "$mode: a writer failed"
	[ "$(sql "$db" 'SELECT count(*) FROM t;')" = 2020 ] || fail "$mode: rows of two writers"
	sql "$db" 'DELETE FROM t WHERE id % 3 = 0; VACUUM;' || fail "$mode: vacuum"
	sql "$db" ".backup '$MNT/$mode.bak'" || fail "$mode: backup"
	sql "$db" 'SELECT id, hex(v) FROM t;' | sha256sum >"$T/$mode.sum"
done
vs_remount
for mode in delete wal truncate persist; do
	for f in db bak; do
		[ "$(sql "$MNT/$mode.$f" 'PRAGMA integrity_check;')" = ok ] || fail "$mode.$f: integrity"
		sql "$MNT/$mode.$f" 'SELECT id, hex(v) FROM t;' | sha256sum | cmp -s - "$T/$mode.sum" ||
			fail "$mode.$f: not the rows of before"
	done
done
vs_scrub_clean
vs_unmount
