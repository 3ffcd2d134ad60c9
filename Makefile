# The verbs of this repository. `make up` installs the platform on a lab machine; `make test` proves it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export PATH
LAB := /usr/bin/python3 lab/lab.py
LAB_SSH := ssh -F /var/lib/jewelry-lab/ssh_config jewelry
PACKAGES := openssh-client systemd-container mmdebstrap iproute2 nftables tzdata
TEST_PACKAGES := postgresql redis-server
SCENARIOS := default refusals operator faults alerts
BROWSER_PACKAGES := chromium chromium-driver fonts-dejavu-core
# Where npm comes from elsewhere, as NodeSource's nodejs, Debian's cannot be installed beside it.
NODE_PACKAGES := $(if $(shell command -v npm),,nodejs npm)

.PHONY: help tools up status down test lint test-repository test-app test-rules test-pages test-platform dev migration bench screenshots lock secrets clean packages test-packages browser-packages node-packages python-packages

help: ## show this
	@sed -En 's/^([a-z-]+):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

tools: .venv/.installed ## what a controller of real machines needs: Ansible and its helpers, in .venv; needs no root

up: packages .venv/.installed ## make the lab machine and install the platform on it
	$(LAB) up jewelry
	ansible-playbook playbooks/site.yml
	@$(LAB_SSH) jewelry-status
	@lab/next-steps

status: ## show what runs on the lab machine
	@lab/status

down: ## remove the lab machine, its network and its base system
	$(LAB) down --purge jewelry

test: test-packages browser-packages node-packages .venv/.installed ## all tests: first what needs no machine, then the scenarios
	@echo "lint, test-repository and test-app run in two lanes; each shows its output when it ends (some minutes)"
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-app test-repository lint
	$(MAKE) --no-print-directory test-platform

lint: packages .venv/.installed test-pages ## ansible-lint, yamllint, ruff, types, and the dashboards' pages
	yamllint .
	ruff check .
	ruff format --check .
	mypy && deptry .
	cd app && mypy . && deptry . && PYTHONPATH=. lint-imports --no-cache --no-logo
	@echo "ansible-lint reads all roles (about two minutes)"
	ansible-lint

test-repository: packages .venv/.installed .venv/bin/promtool ## what needs no machine: roles, rules, refusals, documents; ARGS='-k lab'
	pytest -q tests $(ARGS)

test-app: test-packages .venv/.installed ## the application's tests on a PostgreSQL and a Redis of their own; ARGS='tests/test_api.py -k sale'
	cd app && pg_virtualenv pytest $(ARGS)

test-rules: .venv/bin/promtool ## the alert rules: each fires when it should and only then
	pytest -q tests/test_rules.py

test-pages: node_modules/.installed ## the dashboards' pages: the form of their code, and its functions
	biome check --error-on-warnings
	node --test tests/pages/*.test.js

test-platform: browser-packages .venv/.installed node_modules/.installed ## Molecule: every scenario, on lab machines of its own, in two lanes
	$(LAB) down $(SCENARIOS:%=platform-%)
	$(MAKE) --no-print-directory --jobs=2 --keep-going $(SCENARIOS:%=scenario-%)
	$(LAB) drop platform

# Make starts the next one of SCENARIOS that may run. Two start from the image that `default` saves.
scenario-faults scenario-alerts: scenario-default
scenario-%:
	molecule/run $*

dev: test-packages .venv/.installed ## the application here, with demonstration data, until Ctrl-C; PORT=8000
	@pg_virtualenv app/dev

migration: test-packages .venv/.installed ## the migration of changed models, applied and checked; ARGS='sales --name payment'
	@pg_virtualenv app/dev migration $(ARGS)

bench: test-packages browser-packages .venv/.installed ## what is measured: an installation and releases, on lab machines of their own; the metrics; the monitoring
	python benchmarks/install.py
	python benchmarks/releases.py
	python benchmarks/metrics.py
	python benchmarks/monitoring.py

screenshots: browser-packages .venv/.installed ## the README's pictures again, of the lab machine's pages; MACHINE=jewelry RANGE=15m
	python lab/screenshots.py --range $(or $(RANGE),1h) $(or $(MACHINE),jewelry)

lock: .venv/.installed ## pin the newest versions that pyproject.toml and app/pyproject.toml allow
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header app/pyproject.toml -o app/requirements.lock
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy requires-python --generate-hashes --no-header -c app/requirements.lock pyproject.toml -o requirements.lock

secrets: export INVENTORY := $(INVENTORY)
secrets: .venv/.installed ## make the vault of INVENTORY=inventories/production, or add what it lacks
	@python roles/platform/files/make_secrets.py "$$INVENTORY"

clean: ## remove the tools and built releases from this checkout
	rm -rf .venv build node_modules

packages:
	$(call installed,$(PACKAGES))

test-packages: packages
	$(call installed,$(TEST_PACKAGES))

browser-packages: packages
	$(call installed,$(BROWSER_PACKAGES))

node-packages:
	$(call installed,$(NODE_PACKAGES))

# Debian's packages that are needed; apt is asked only when one is missing.
define installed
@missing=$$(for p in $(1); do dpkg-query -Wf '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
[ -z "$$missing" ] && exit 0; \
[ "$$(id -u)" = 0 ] || { echo "$(MAKECMDGOALS) needs root to install $$missing: sudo make $(MAKECMDGOALS)" >&2; exit 1; }; \
apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing
endef

python-packages:
	$(call installed,python3-venv)

.venv/.installed: requirements.lock app/requirements.lock
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, and python3 is $$(python3 -V)" >&2; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory python-packages
	@echo "Installing the tools into .venv (about a minute)"
	python3 -m venv --clear .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock -r app/requirements.lock
	touch $@

# Of Debian's package only this: installed, Prometheus itself would run here.
.venv/bin/promtool: .venv/.installed
	cd $(@D) && { apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }; }
	dpkg-deb --fsys-tarfile $(@D)/prometheus_*.deb | tar -xO ./usr/bin/promtool > $@.new
	rm $(@D)/prometheus_*.deb
	chmod +x $@.new
	mv $@.new $@

# Tools for the pages' code, and axe for the tests of their accessibility.
node_modules/.installed: package-lock.json | node-packages
	@echo "Installing the tools for the pages into node_modules (some ten seconds)"
	npm ci --ignore-scripts --no-audit --no-fund --silent
	touch $@
