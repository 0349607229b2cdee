# VeriStore: `make help` lists the targets.  Everything is built under build/.

VARIANT ?= release
prefix ?= /usr/local
bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
helperdir ?= /sbin# where mount(8) looks for mount.veristore
SEEDS ?= 1000
FUZZ_SECONDS ?= 600

ifeq ($(origin CC),default)
CC = gcc
endif
ifeq ($(VARIANT),fuzz)
CC = clang
endif

B := build/$(VARIANT)
OBJ := $(B)/obj

# build/deps.mk installs what is missing and says which libraries there are.
ifneq ($(filter-out clean help stop uninstall format,$(or $(MAKECMDGOALS),all)),)
include build/deps.mk
endif

# --- flags

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wformat=2 -Wvla -Wundef
SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_tsan := -fsanitize=thread -fno-omit-frame-pointer
SAN_coverage := --coverage
SAN_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
OPT_release := -O2 -g
OPT_asan := -O1 -g
OPT_tsan := -O1 -g
OPT_coverage := -O0 -g
OPT_fuzz := -O1 -g
ifndef OPT_$(VARIANT)
$(error VARIANT is one of release asan tsan coverage fuzz)
endif
# asan and tsan are the variants of `make check`: there a warning is an error.
WERROR ?= $(if $(filter asan tsan,$(VARIANT)),-Werror)
STD := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -pthread
ALL_CFLAGS = $(STD) $(WARN) $(WERROR) $(OPT_$(VARIANT)) $(SAN_$(VARIANT)) $(PART_CFLAGS) $(CFLAGS)
LINK_FLAGS = $(SAN_$(VARIANT)) -pthread -Wl,--as-needed $(LDFLAGS)
LIBS = $(SSL_LIBS) -lisal $(LDLIBS)

# --- what there is

objs = $(patsubst %.c,$(OBJ)/%.o,$(1))
progs = $(patsubst %.c,$(B)/%,$(wildcard $(1)))

MAINS := veristore veristore_admin veristore_bench
TLS_SRC := $(if $(SSL_LIBS),,consensus/tls%)
SRC_base := $(wildcard engine/base/*.c)
SRC_engine := $(wildcard engine/*.c)
SRC_consensus := $(filter-out $(TLS_SRC),$(wildcard consensus/*.c))
SRC_fs := $(if $(FUSE_LIBS),$(wildcard fs/*.c))
SRC_tools := $(filter-out $(MAINS:%=tools/%.c),$(wildcard tools/*.c))
SRC_test := $(filter-out tests/lib/fuzz_main.c,$(wildcard tests/lib/*.c))
SRC_sim := $(filter-out tests/sim/test_%,$(wildcard tests/sim/*.c))
ARCHIVES := base engine consensus fs tools test sim

HAVE_MAINS := $(patsubst tools/%.c,%,$(wildcard $(MAINS:%=tools/%.c)))
PROGS := $(subst _,-,$(if $(FUSE_LIBS),$(HAVE_MAINS),$(filter-out veristore,$(HAVE_MAINS))))
PROG_FILES := $(PROGS:%=$(B)/%)
TESTS := $(call progs,tests/unit/test_*.c tests/crash/test_*.c tests/sim/test_*.c)
TESTS := $(filter-out $(if $(FUSE_LIBS),,$(B)/tests/unit/test_fs_%) \
	$(if $(SSL_LIBS),,$(B)/tests/unit/test_tls%),$(TESTS))
TESTS_TOOLS := $(filter $(B)/tests/unit/test_tools_% $(B)/tests/sim/test_tools_%,$(TESTS))
TESTS_FS := $(filter $(B)/tests/unit/test_fs_% $(B)/tests/crash/test_fs_% \
	$(B)/tests/sim/test_fs_%,$(TESTS))
TESTS_LOW := $(filter-out $(TESTS_FS) $(TESTS_TOOLS),$(TESTS))
FUZZERS := $(call progs,tests/fuzz/fuzz_*.c)

LOW := $(B)/libconsensus.a $(B)/libengine.a $(B)/libbase.a
TEST := $(B)/libsim.a $(B)/libtest.a

# What the linters and the formatter read; C_FILES only what can be compiled here.
ALL_SRC := $(wildcard engine/base/*.[ch] engine/*.[ch] consensus/*.[ch] fs/*.[ch] tools/*.[ch] \
	tests/*/*.[ch])
C_FILES = $(filter-out $(TLS_SRC) $(if $(FUSE_LIBS),,fs/% tests/unit/test_fs_% tools/veristore.c), \
	$(filter %.c,$(ALL_SRC)))

# --- building

.PHONY: all programs tests run stop test check lint soak fuzz bench coverage install uninstall \
	help clean deps format tidy FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: programs ## build the programs (build/bin)
programs: $(PROG_FILES) $(ARCHIVES:%=$(B)/lib%.a)
ifeq ($(VARIANT),release)
	@mkdir -p build/bin
	@for p in $(PROGS); do ln -sf ../release/$$p build/bin/$$p; done
endif
tests: programs $(TESTS) $(FUZZERS)

build/deps.mk: tests/deps.sh
	@sh tests/deps.sh $@

# Changed flags rebuild everything.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS) $(LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(LDFLAGS)' >$@

$(OBJ)/fs/%.o $(OBJ)/tests/unit/test_fs_%.o: PART_CFLAGS = $(FUSE_CFLAGS)

$(OBJ)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

define archive
$(B)/lib$(1).a: $$(call objs,$$(SRC_$(1))) $(B)/flags
	@rm -f $$@
	@ar rcs $$@ $$(filter %.o,$$^)
endef
$(foreach a,$(ARCHIVES),$(eval $(call archive,$(a))))

# An archive sees the ones to its right only, so an upward call does not link.
define link
@mkdir -p $(@D)
$(CC) $(LINK_FLAGS) -o $@ $(filter %.o %.a,$^)
endef

$(PROG_FILES): $(B)/%: $(B)/libtools.a $(B)/libfs.a $(LOW)
	$(CC) $(LINK_FLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(FUSE_LIBS) $(JSON_LIBS) $(LIBS)
$(foreach p,$(PROGS),$(eval $(B)/$(p): $(OBJ)/tools/$(subst -,_,$(p)).o))
$(TESTS_LOW): $(B)/%: $(OBJ)/%.o $(TEST) $(LOW)
	$(link) -lcmocka $(LIBS)
$(B)/tests/crash/test_alloc_fail: LINK_FLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(TESTS_FS): $(B)/%: $(OBJ)/%.o $(TEST) $(B)/libfs.a $(LOW)
	$(link) -lcmocka $(FUSE_LIBS) $(LIBS)
$(TESTS_TOOLS): $(B)/%: $(OBJ)/%.o $(TEST) $(B)/libtools.a $(B)/libfs.a $(LOW)
	$(link) -lcmocka $(FUSE_LIBS) $(JSON_LIBS) $(LIBS)
ifeq ($(VARIANT),fuzz)
$(FUZZERS): LINK_FLAGS = -fsanitize=fuzzer,address,undefined -pthread $(LDFLAGS)
$(FUZZERS): $(B)/%: $(OBJ)/%.o $(TEST) $(B)/libfs.a $(LOW)
else
$(FUZZERS): $(B)/%: $(OBJ)/%.o $(OBJ)/tests/lib/fuzz_main.o $(TEST) $(B)/libfs.a $(LOW)
endif
	$(link) $(FUSE_LIBS) $(LIBS)

-include $(wildcard $(OBJ)/*/*.d $(OBJ)/*/*/*.d)

# --- using

run: programs ## start a file system to try (tools/run.sh)
	@sh tools/run.sh start
stop: ## stop what `make run` started
	@sh tools/run.sh stop

test: tests ## all tests; ONLY="name..." selects
	@sh tests/deps.sh mount
	@VARIANT=$(VARIANT) bash tests/run.sh $(ONLY)

check: ## tests under sanitizers, and every linter
	@sh tests/deps.sh check
	$(MAKE) tidy
	$(MAKE) lint
	$(MAKE) VARIANT=asan tests
	VARIANT=asan bash tests/run.sh unit crash sim fuzz
	$(MAKE) VARIANT=tsan tests
	VARIANT=tsan bash tests/run.sh unit

tidy: ## house rules (tests/tidy.sh)
	@sh tests/tidy.sh selftest
	@sh tests/tidy.sh

lint: build/deps.mk ## formatter and static analysers (clang-tidy: what ships)
	@clang-format --dry-run -Werror $(ALL_SRC)
	@clang -fsyntax-only -Wthread-safety $(STD) $(WARN) -Werror $(FUSE_CFLAGS) $(C_FILES)
	@mkdir -p build/cppcheck
	@cppcheck -q -j2 --error-exitcode=1 --std=c11 --enable=warning,portability,performance \
		--inline-suppr --suppress=missingIncludeSystem --suppress=readdirCalled --suppress=ctunullpointer --library=posix \
		--cppcheck-build-dir=build/cppcheck -D_GNU_SOURCE -D__GNUC__ -I. $(C_FILES)
	@printf '%s\n' $(filter-out tests/%,$(C_FILES)) | xargs -P2 -n2 sh -c 'clang-tidy --quiet "$$@" -- $(STD) \
		$(FUSE_CFLAGS) 2>build/tidy.$$$$ || { cat build/tidy.$$$$; exit 1; }; rm build/tidy.$$$$' -

soak: tests ## simulator with SEEDS=n seeds (FIRST=seed)
	@VS_SEEDS=$(SEEDS) VS_SEED_FIRST=$(or $(FIRST),1) VARIANT=$(VARIANT) TEST_SECONDS=86400 \
		bash tests/run.sh $(or $(ONLY),sim)

fuzz: ## libFuzzer on every parser, FUZZ_SECONDS each
	@sh tests/deps.sh check
	$(MAKE) VARIANT=fuzz fuzzers
	@for f in $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)); do \
		mkdir -p build/fuzz/corpus/$$f tests/fuzz/corpus/$$f && \
		build/fuzz/tests/fuzz/fuzz_$$f -max_total_time=$(FUZZ_SECONDS) \
		-artifact_prefix=build/fuzz/$$f- build/fuzz/corpus/$$f tests/fuzz/corpus/$$f || exit 1; \
	done
.PHONY: fuzzers
fuzzers: $(FUZZERS)

bench: programs ## measure (veristore-bench $(BENCH))
	@build/bin/veristore-bench $(BENCH)

coverage: ## line coverage of the tests, per file
	$(MAKE) VARIANT=coverage tests
	find build/coverage -name '*.gcda' -delete
	VARIANT=coverage bash tests/run.sh
	@find build/coverage/obj -name '*.gcda' ! -path '*/tests/*' -exec gcov -n {} + 2>/dev/null | \
		awk -F"'" '/^File/ {f = $$2} /^Lines/ && f !~ /^\// {print $$0, f} {if (/^Lines/) f = "/"}' | sort -t: -k2n

install: programs ## install to $(DESTDIR)$(prefix)
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man8
	for p in $(PROGS); do install -m 755 $(B)/$$p $(DESTDIR)$(bindir)/$$p || exit 1; done
	for m in $(wildcard tools/*.1 tools/*.8); do \
		install -m 644 $$m $(DESTDIR)$(mandir)/man$${m##*.}/ || exit 1; done
	if test -f tools/mount.veristore; then install -d $(DESTDIR)$(helperdir) && \
		install -m 755 tools/mount.veristore $(DESTDIR)$(helperdir)/; fi

uninstall: ## remove what install put there
	rm -f $(MAINS:%=$(DESTDIR)$(bindir)/%) $(subst _,-,$(MAINS:%=$(DESTDIR)$(bindir)/%))
	for m in $(notdir $(wildcard tools/*.1 tools/*.8)); do \
		rm -f $(DESTDIR)$(mandir)/man$${m##*.}/$$m; done
	rm -f $(DESTDIR)$(helperdir)/mount.veristore

deps: build/deps.mk ## install the Debian packages that are missing
	@sh tests/deps.sh mount

format: ## clang-format every file in place
	clang-format -i $(ALL_SRC)

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo '  VARIANT=release|asan|tsan|coverage|fuzz, CFLAGS, prefix, DESTDIR'
