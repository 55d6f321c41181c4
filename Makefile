# Commands for people and CI. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLUSTER := tests/cluster/testcluster/cluster

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

.PHONY: setup
setup: $(VENV)/.ready ## install everything into .venv, as locked

# uv resolves nothing here: it installs the versions in requirements.lock and checks each hash.
$(VENV)/.ready: requirements.lock pyproject.toml
	@./.ci/uv venv -q --allow-existing --python $(PYTHON) $(VENV)
	@./.ci/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@./.ci/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: setup ## choose newer versions of all dependencies
	$(BIN)/uv pip compile -q pyproject.toml --extra core --extra dev --python-version 3.11 --universal \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade -o requirements.lock
	@# For the image: the same versions, without packages that only developers and clients need.
	$(BIN)/uv pip compile -q pyproject.toml --extra core --constraint requirements.lock --python-version 3.11 --universal \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --no-emit-package helm-python-sdk -o images/requirements.lock

.PHONY: demo
demo: setup ## fine-tune a small Whisper on Greek speech; WER before and after
	@examples/demo

.PHONY: demo-cluster
demo-cluster: setup ## the same on a real Kubernetes with S3, both on this machine
	@examples/demo-cluster

# Two processes of one thread each, because this must pass on a machine with two cores: with two
# threads each it took 4 min 48 s there instead of 2 min 56 s.
.PHONY: test
test: setup ## run every test that this machine can run
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --ignore tests/cluster
	@code=0; [[ $${KUBECONFIG:-} ]] || $(CLUSTER) status >/dev/null || code=$$?; \
	if [[ $$code = 3 ]]; then \
		echo 'Left out: the tests on a real cluster. Run `make cluster-up` once, or see CONTRIBUTING.md to test on a cluster of your own.'; \
	else \
		$(MAKE) --no-print-directory test-cluster; \
	fi

.PHONY: check
check: setup ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.PHONY: generate
generate: setup ## write what is generated from the spec and the commands
	$(BIN)/python docs/generate.py

.PHONY: bench
bench: setup ## measure; prints the tables of docs/performance.md
	@for name in cli prepare checkpoint training scale; do printf '\n## %s\n\n' $$name; $(BIN)/python benchmarks/$$name.py; done

.PHONY: image
image: setup ## build the one image with buildah, podman or docker
	images/build

.PHONY: cluster-up
cluster-up: ## start a real one-node Kubernetes with S3 on this machine
	$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## stop it and remove its state
	$(CLUSTER) down

# First the tests that stop parts of the cluster, one by one; on a tester's own cluster none of them
# is selected (exit code 5). The others mostly wait, so four at once fit on two cores.
.PHONY: test-cluster
test-cluster: setup ## run the tests that need a cluster
	$(BIN)/pytest -q tests/cluster -m alone || [[ $$? = 5 ]]
	$(BIN)/pytest -q tests/cluster -m 'not alone' -n 4
