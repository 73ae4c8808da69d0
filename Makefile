# The front door: every target can be repeated, says what it is doing, and fails with the command to run next.
# The work is done by the scripts in tools/, CMake presets and ctest; this file only names it.

ARGS ?=
MODEL ?= models/cove-mini
DATA ?= data
export COVE_JOBS

.DEFAULT_GOAL := help
.PHONY: help serve test build check format bench cuda trainer edge web deb deps clean

help: ## this list
	@echo "Cove: a private harbour for DeepSeek R1"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16
	@echo
	@echo "  ARGS='--port 9000' is passed on by serve and bench; MODEL and DATA choose the model and the data folder;"
	@echo "  COVE_JOBS=N sets how many compilers run at once (by default as many as cores and memory allow)."

serve: build ## install what is missing, build, serve on http://127.0.0.1:8080
	@tools/say.sh "serving $(MODEL) (stop with Ctrl-C)"
	@build/release/cove serve --model $(MODEL) --data $(DATA) $(ARGS) || { status=$$?; \
	  tools/say.sh "cove serve ended with $$status; its last lines say why. Next: build/release/cove doctor"; exit $$status; }

build: ## install what is missing, build build/release/cove
	@tools/install_deps.sh build
	@tools/build.sh release cove

test: ## install what is missing, build, run every test (what CI runs)
	@tools/test_all.sh

check: ## format, layers and clang-tidy (ARGS=--all: tidy every file, not only changed ones)
	@tools/check.sh $(ARGS)

format: ## let clang-format rewrite our files
	@tools/install_deps.sh format
	@tools/our_files.sh | xargs clang-format-19 -i
	@tools/say.sh "formatted; git diff shows what changed"

bench: build ## measure the served model against the machine's ceilings
	@build/release/cove bench $(MODEL) $(ARGS)

trainer: ## install LibTorch, build build/trainer/cove-train
	@tools/install_deps.sh build test trainer
	@tools/build.sh trainer cove-train

deps: ## install everything that build, test, trainer and fuzzing need
	@tools/install_deps.sh build test trainer fuzz format

cuda: ## build build/cuda/cove and the GPU tests; needs nvcc (make build has the backend too, where there is nvcc)
	@tools/install_deps.sh build test
	@tools/build.sh cuda cove cove_cuda_test cove_golden_cuda_test

edge: ## cross-build for aarch64
	@tools/not_yet.sh edge "the aarch64 package is not in this version (row M26, edge)" "make build, on the aarch64 machine itself"

web: ## build the web UI
	@tools/not_yet.sh web "web/ is not in this version; the server's own page at / serves until then" "make serve"

deb: ## build a Debian package
	@tools/not_yet.sh deb "packaging is not in this version" "make build, then copy build/release/cove"

clean: ## remove everything that was built
	@tools/say.sh "removing build/"
	@rm -rf build
