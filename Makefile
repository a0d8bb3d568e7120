# Thin front of Meson: `make help` lists what there is.

BUILD   ?= build
ENGINE  ?= berth
PREFIX  ?= /usr/local
PYTHON  ?= /usr/bin/python3
PYTEST   = $(PYTHON) -B -m pytest -q -p no:cacheprovider --reruns 1  # what failed the first time is told in the summary
PROGRAMS = berth berthd berth-shim berth-runtime berth-init berth-log berth-registry

.PHONY: all check e2e e2e-vm test bench format lint floors try install uninstall sanitize sanitize-thread fuzz ci clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)
	@for program in $(PROGRAMS); do ln -sf src/programs/$$program $(BUILD)/$$program; done

$(BUILD)/build.ninja:
	@tools/install-deps
	meson setup $(BUILD) $(MESON_OPTIONS)

check: deps-test all floors ## unit tests and the floors
	meson test -C $(BUILD) --print-errorlogs

.PHONY: deps-test
deps-test:
	@tools/install-deps --test
	@test ! -f $(BUILD)/build.ninja || grep -q criterion $(BUILD)/build.ninja || rm -rf $(BUILD)

e2e: deps-test all ## end-to-end tests; ENGINE=unix:///path drives another engine
	$(PYTEST) tests --engine=$(ENGINE) --build=$(abspath $(BUILD)) $(ARGS)

e2e-vm: deps-test all ## first light, isolation and limits on cgroup v2, in an emulated machine
	tests/vm/run --build=$(abspath $(BUILD))

test: check e2e ## what must pass

bench: deps-test all ## speed and memory, as ratios against peers and the kernel's own floor
	$(PYTHON) tests/bench/bench.py --build=$(abspath $(BUILD)) $(ARGS)

floors: ## includes against src/FLOORS
	tools/check-floors

format: ## reformat the C files
	git ls-files 'src/*.c' 'src/*.h' 'tests/*.c' | xargs clang-format -i

lint: deps-test floors ## format, and a build with clang whose warnings are errors
	git ls-files 'src/*.c' 'src/*.h' 'tests/*.c' | xargs clang-format --dry-run -Werror
	@test -f build-clang/build.ninja || CC=clang meson setup build-clang -Dwerror=true
	ninja -C build-clang
	@test -f build-gcc/build.ninja || CC=gcc meson setup build-gcc -Dwerror=true
	ninja -C build-gcc

sanitize: deps-test ## unit and end-to-end tests with AddressSanitizer and UBSan
	@test -f build-asan/build.ninja || meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false
	$(MAKE) BUILD=build-asan all
	meson test -C build-asan --print-errorlogs --timeout-multiplier=4
	$(PYTEST) tests --engine=berth --build=$(abspath build-asan) $(ARGS)

sanitize-thread: deps-test ## the daemon's unit tests and first light with ThreadSanitizer
	@test -f build-tsan/build.ninja || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false
	ninja -C build-tsan $(addprefix src/programs/,$(PROGRAMS))
	@for program in $(PROGRAMS); do ln -sf src/programs/$$program build-tsan/$$program; done
	$(PYTEST) $(addprefix tests/test_,first_light.py restart.py sdk.py cli.py tls.py) --engine=berth --build=$(abspath build-tsan) $(ARGS)

FUZZ_SECONDS ?= 60
fuzz: deps-test ## every fuzz target for FUZZ_SECONDS
	@test -f build-fuzz/build.ninja || CC=clang meson setup build-fuzz -Dfuzzers=true -Db_sanitize=address,undefined -Db_lundef=false
	ninja -C build-fuzz
	tools/fuzz build-fuzz $(FUZZ_SECONDS)

try: ## install what is needed, build, and show the main job step by step
	@tools/install-deps
	@$(MAKE) --no-print-directory all
	@tools/try $(abspath $(BUILD))

install: all ## programs and the systemd unit; DOCKER_NAMES=1 adds the name docker
	@tools/install $(abspath $(BUILD)) "$(DESTDIR)" "$(PREFIX)" "$(DOCKER_NAMES)"

clean:
	rm -rf build build-*

help:
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort
