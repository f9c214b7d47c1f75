# A thin front to CMake. `make`, `make demo`, `make check`; the others are listed by `make help`.
BUILD  ?= build
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)

# A build folder keeps the generator that it was made with.
ninja  := $(if $(shell command -v ninja 2>/dev/null),-G Ninja)
# $(call configure,FOLDER,OPTIONS): says nothing unless it fails.
configure = mkdir -p $(1) && { cmake $$([ -f $(1)/CMakeCache.txt ] || echo "$(ninja)") -S . -B $(1) $(2) >$(1)/configure.log 2>&1 || \
	{ cat $(1)/configure.log; echo "Something is missing: bash .ci/install-packages"; exit 1; }; }
build = cmake --build $(1) --parallel $(JOBS)

.PHONY: all demo check test check-golden check-asan check-tsan check-valgrind check-fuzz fuzz fuzzers soak bench bench-data lint format docs install clean help packages

all:
	@$(call configure,$(BUILD),-DCMAKE_INSTALL_PREFIX=$(PREFIX) -DTENON_TESTS=OFF)
	@$(call build,$(BUILD))

help:
	@echo "make                build into $(BUILD)/"
	@echo "make demo           draw a data set, train on it, show predictions"
	@echo "make check          warnings as errors, format, valgrind, sanitizers, fuzzers, tests, examples, golden suites"
	@echo "make test           the tests alone"
	@echo "make check-golden FIXTURES=DIR   the golden suites on a folder of fixtures"
	@echo "make check-asan | check-tsan | check-valgrind | check-fuzz   one of the parts"
	@echo "make fuzz SECONDS=60 [FUZZERS='jpeg config']   each fuzzer that long; what they find goes on from run to run"
	@echo "make soak COUNT=1000 [SEED=N]   runs that are killed at random go on to the same end, that many kills"
	@echo "make bench          the training step against the peers, where they are installed"
	@echo "make bench-data     reading, decoding and augmenting against the peers"
	@echo "make lint | format | docs"
	@echo "make install PREFIX=$(PREFIX) DESTDIR="
	@echo "make clean"

packages:
	@bash .ci/install-packages build

demo: packages
	@$(MAKE) --no-print-directory all
	@bash examples/demo.sh $(BUILD)

# The last part is the plain suite, so that its summary closes the output.
check:
	@bash .ci/install-packages check
	@bash .ci/format --check
	@$(call configure,$(BUILD)/check,-DTENON_WERROR=ON -DTENON_TESTS=ON)
	@$(call build,$(BUILD)/check)
	@bash tests/valgrind.sh $(BUILD)/check
	@$(MAKE) --no-print-directory check-asan
	@$(MAKE) --no-print-directory check-tsan
	@$(MAKE) --no-print-directory check-fuzz
	@cd $(BUILD)/check && ctest --output-on-failure --no-tests=error

test: packages
	@$(call configure,$(BUILD)/check,-DTENON_WERROR=ON -DTENON_TESTS=ON)
	@$(call build,$(BUILD)/check)
	@cd $(BUILD)/check && ctest --output-on-failure --no-tests=error

check-golden: packages
	@[ -n "$(FIXTURES)" ] || { echo "usage: make check-golden FIXTURES=DIR"; exit 2; }
	@[ -d "$(FIXTURES)" ] || { echo "$(FIXTURES) is not a folder"; exit 2; }
	@$(call configure,$(BUILD)/check,-DTENON_WERROR=ON -DTENON_TESTS=ON)
	@$(call build,$(BUILD)/check)
	@bash tests/golden.sh $(BUILD)/check $(abspath $(FIXTURES))

check-asan:
	@$(call configure,$(BUILD)/asan,-DTENON_WERROR=ON -DTENON_TESTS=ON -DTENON_SANITIZE=address$(comma)undefined)
	@$(call build,$(BUILD)/asan)
	@bash tests/sanitized.sh asan $(BUILD)/asan

check-tsan:
	@$(call configure,$(BUILD)/tsan,-DTENON_WERROR=ON -DTENON_TESTS=ON -DTENON_SANITIZE=thread)
	@$(call build,$(BUILD)/tsan)
	@bash tests/sanitized.sh tsan $(BUILD)/tsan

check-valgrind: packages
	@$(call configure,$(BUILD)/check,-DTENON_WERROR=ON -DTENON_TESTS=ON)
	@$(call build,$(BUILD)/check)
	@bash tests/valgrind.sh $(BUILD)/check

# Undefined behaviour, memory and leaks are watched; clang's libFuzzer drives. What is found stays in $(BUILD)/fuzz/found.
fuzzers:
	@bash .ci/install-packages check
	@bash tests/fuzz/build.sh $(BUILD)/fuzz

check-fuzz: fuzzers
	@bash tests/fuzz/fuzz.sh $(BUILD)/fuzz $(or $(SECONDS),4) --fresh

fuzz: fuzzers
	@bash tests/fuzz/fuzz.sh $(BUILD)/fuzz $(or $(SECONDS),60) $(FUZZERS)

soak: packages
	@$(call configure,$(BUILD)/check,-DTENON_WERROR=ON -DTENON_TESTS=ON)
	@$(call build,$(BUILD)/check)
	@bash tests/soak.sh $(BUILD)/check $(or $(COUNT),1000) $(SEED)

bench: packages all
	@bash tests/bench/bench.sh $(BUILD)

bench-data: packages all
	@bash tests/bench/bench_data.sh $(BUILD)

lint:
	@bash .ci/install-packages lint
	@mkdir -p $(BUILD)
	@bash .ci/lint $(BUILD)

format:
	@bash .ci/format

docs: packages all
	@bash docs/generate-configuration $(BUILD)/bin/tenon

install: packages all
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD) --strip

clean:
	rm -rf $(BUILD)

comma := ,
