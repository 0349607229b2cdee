# Configure-like and make -j2 build of a small tree; an unchanged tree is not built again.
. "$(dirname "$0")/lib.sh"
command -v gcc >/dev/null && command -v make >/dev/null || skip "no gcc or make"

vs_mount
mkdir -p "$MNT/src/lib" && cd "$MNT/src" || fail "mkdir"
for i in $(seq 20); do
	printf '#include "all.h"\n\nint f%d(int x)\n{\n\treturn x + %d;\n}\n' "$i" "$i" >"lib/f$i.c"
	echo "int f$i(int x);" >>all.h
done
{
	echo '#include "all.h"'
	echo '#include <stdio.h>'
	echo 'int main(void) { int s = 0;'
	for i in $(seq 20); do echo "s += f$i(1);"; done
	echo 'printf("%d\n", s); return 0; }'
} >main.c
cat >Makefile <<'END'
OBJ := $(patsubst %.c,%.o,$(wildcard lib/*.c)) main.o
prog: $(OBJ) libf.a
	gcc -g -o $@ main.o libf.a
libf.a: $(OBJ)
	rm -f $@
	ar rcs $@ $(filter lib/%,$^)
%.o: %.c
	gcc -g -O1 -I. -MMD -c $< -o $@
-include $(wildcard lib/*.d *.d)
END
make -s -j2 >"$T/make.out" 2>&1 || fail "make: $(cat "$T/make.out")"
[ "$(./prog)" = 230 ] || fail "the program says $(./prog)"
make -q || fail "built, and make would build again"
sleep 0.01
touch all.h
make -q && fail "make does not see the touched header"
make -s -j2 >"$T/make.out" 2>&1 || fail "make again: $(cat "$T/make.out")"
cd / || exit 1
vs_remount
cd "$MNT/src" || fail "cd"
make -q || fail "make would build again after kill -9: times are not kept"
[ "$(./prog)" = 230 ] || fail "the program after kill -9"
# a running program cannot be written, but replaced
cp /bin/sleep s && ./s 5 &
sleep 0.3
(: >>s) 2>/dev/null && fail "a running program can be written"
cp /bin/true s.new && mv s.new s || fail "a running program cannot be replaced"
kill %1 2>/dev/null
cd / || exit 1
wait
vs_scrub_clean
vs_unmount
