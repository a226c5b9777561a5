# DataOps TUI: `make` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

STATE ?= .local/demo
PORT_BASE ?= 19000
MINUTES ?= 10
PYTHON ?= python3

PY := .venv/bin/python
UV := .local/uv/bin/uv
# Otherwise each start of Python compiles every module that it imports if the folder is not writable.
export UV_COMPILE_BYTECODE := 1
# As above, for the project's own modules and tests. Empty means: write bytecode.
export PYTHONDONTWRITEBYTECODE :=
TEAM := PYTHONPATH=docs/exercise/team $(PY) -m dataops_team
BENCH := PYTHONPATH=deploy/local:. $(PY) -m tests.bench
LOCAL := PYTHONPATH=deploy/local $(PY) -m dataops_local --state $(STATE) --port-base $(PORT_BASE)
PYTEST := $(PY) -m pytest --no-loadscope-reorder --max-worker-restart 0 $(if $(CI),-x)
COMPILE := $(UV) pip compile -q --generate-hashes --no-emit-index-url --no-header --python-version 3.11

# The tests that `make test` leaves to other targets.
SHORT := not long and not maintenance and not helm and not kube and not soak and not systems

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{ printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2 }'

##### Main

.PHONY: demo
demo: install ## start the local stack and open the console on it; quitting stops the stack
	@$(LOCAL) demo

.PHONY: test
test: quick fetch monitoring-tools ## run the tests of CI: the quick tests, then console, pipeline and packaging, then the real components
	$(PYTEST) -n 4 --durations 10 --ignore tests/e2e -m "not quick and $(SHORT)"
	$(PYTEST) -n 2 --durations 10 -m "$(SHORT)" tests/e2e

##### Longer runs

.PHONY: chaos monkey soak fuzz test-long test-maintenance test-systems helm-test kube-test bench bench-pipeline bench-layout bench-probe bench-probes bench-exporter bench-exporter-load bench-spark bench-spark-tasks bench-sql bench-tasks bench-tui
helm-test: install monitoring-tools helm-tools ## test the chart: helm lint and unittest, strict schemas, kube-score, promtool
	$(PY) -m pytest -m helm
kube-test: install helm-tools kube-tools ## test the chart on a real kube-apiserver: install, upgrade, roll back, PodSecurity restricted
	$(PY) -m pytest -m kube
chaos: install fetch ## send a million faulty readings, and kill Spark, Kafka and the store twenty times under load: each record is in Trino once
	DATAOPS_KILLS=20 DATAOPS_READINGS=1000000 $(PY) -m pytest tests/e2e/test_exactly_once.py tests/e2e/test_kills.py
monkey: install ## send random input to the console on the running local stack (make up), read-only; MINUTES=10, SEED=, and REPLAY=1 for the shipped recording without a stack
	PYTHONPATH=deploy/local:. $(PY) -m tests.bench.monkey --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(REPLAY),,--config $(STATE)/dataops.toml)
soak: install fetch ## run the exporter for 15 minutes while components stop and hang: memory, false greens, recoveries
	$(PY) -m pytest -s -m soak
fuzz: MINUTES = 60
fuzz: install ## send random input to every parser of outside data for MINUTES (60): inputs tried, tracebacks, slow inputs
	$(PY) -m tests.hostile.fuzz --minutes $(MINUTES)
test-long: install fetch monitoring-tools ## test the longer outages, kills, alerts and detection of excursions on the real components; up to 20 minutes
	$(PY) -m pytest -m long
test-maintenance: install fetch ## test maintenance, replay and the quality officer's SQL on the real components
	$(PY) -m pytest -m maintenance
test-systems: install fetch .local/airflow2-venv/installed .local/dbt-venv/installed .local/flink-venv/installed .local/kerberos-venv/installed ## test systems outside of the reference pipeline on real components: Airflow 2, dbt, Flink, Kafka Connect with Debezium and the Iceberg sink, Apicurio Registry, Spark's history server, Trino with OAuth 2 and with Kerberos; some minutes
	$(PY) -m pytest -m systems
.local/kerberos-venv/installed: | kerberos-tools
.local/%-venv/installed: requirements/%.txt $(UV)
	@test -x $(@D)/bin/python || $(UV) venv --quiet --python $(PYTHON) $(@D)
	@$(UV) pip sync --quiet --require-hashes --python $(@D)/bin/python $<
	@touch $@
bench: bench-pipeline bench-layout bench-probes bench-exporter bench-exporter-load bench-spark bench-spark-tasks bench-sql bench-tui ## run all benchmarks: ratios within one run
bench-pipeline: install fetch ## compare landing and conforming with plain reading and writing; measure the time until Trino shows a record
	$(BENCH).pipeline
bench-layout: install fetch ## compare compressions, sort orders and partitions of a table: cost of writing, gain of reading
	$(BENCH).layout
bench-probes: install fetch ## compare a cluster scan of 10,000 partitions and 200 groups with kminion, and table health with PyIceberg's list of files
	$(BENCH).probes
bench-exporter: install fetch ## measure scrapes of a cluster of 10,000 partitions, beside kminion and kafka_exporter if they are on the PATH
	$(BENCH).exporter
bench-exporter-load: install ## measure the exporter beside 200 slow connections and 100 wrong passwords a second, over HTTP and TLS
	$(BENCH).exporter_load
bench-spark: install fetch ## compare the same job in plain Python, Arrow and Spark
	$(BENCH).spark_or_python
bench-spark-tasks: install fetch ## measure what a small task in Spark's Python workers costs, with the pipeline's daemon and with PySpark's own
	$(BENCH).spark_tasks
bench-sql: install fetch ## compare table layouts, forms of a query and engines on the same readings
	$(BENCH).sql
bench-tui: install fetch .local/bench/harlequin .local/bench/kaskade ## measure the time from a key to the screen: while all backends hang, with 10,000 partitions, with a million rows; compare the start with harlequin and kaskade
	$(BENCH).tui
bench-probe: install ## measure wall clock and CPU time of dataops probe on the running local stack (make up)
	$(BENCH).probes --only demo --config $(STATE)/dataops.toml
bench-tasks: install ## run twenty tasks of an operator on the running local stack (make up): keys and seconds, beside each component's own tool
	$(BENCH).tasks --state $(STATE) --port-base $(PORT_BASE)
.local/bench/%: | $(UV)
	@$(UV) venv --quiet --python $(PYTHON) $@ && $(UV) pip install --quiet --python $@/bin/python $* || { rm -rf $@; exit 1; }

##### Images

.PHONY: image
image: install ## build the exporter's image with buildah and check it under a random user id; needs root
	exporter/image $(PY) .local/uv/bin/pip .local/image

##### The local stack

.PHONY: up down start stop status logs clean fetch
up: install ## start the local stack in the background
	@$(LOCAL) up
down start stop status logs: | $(PY)
$(PY):
	@echo "nothing is installed in this clone: run make up first" >&2; exit 1
down: ## stop the local stack; its data stays
	@$(LOCAL) down
start: ## start one component again: NAME=land_readings
	@$(LOCAL) start $(NAME)
stop: ## stop one component, the others keep running: NAME=land_readings
	@$(LOCAL) stop $(NAME)
status: ## show the running components, with memory and ports
	@$(LOCAL) status || true
logs: ## show the end of each log (NAME=kafka for one)
	@$(LOCAL) logs $(NAME)
clean: ## stop the local stack and remove its data
	@test ! -x $(PY) || $(LOCAL) clean
fetch: install ## download what is not a Python package (Kafka's and Spark's jars, Trino)
	@$(LOCAL) fetch

.PHONY: incident
incident: install fetch ## record the incident that dataops-tui --replay shows: land_readings is stopped for two minutes
	@rm -f tui/dataops_tui/incident.sqlite
	@PYTHONPATH=deploy/local $(PY) -m dataops_local --state .local/incident --port-base $(PORT_BASE) incident tui/dataops_tui/incident.sqlite

##### The team's pages

.PHONY: pages publish
pages: install ## write the team's pages in Confluence's storage format into .local/confluence
	@$(TEAM) pages .local/confluence
publish: install ## show what would change in Jira and Confluence; with ARGS=--apply change it
	@$(TEAM) publish $(ARGS)

##### Development

.PHONY: install animation check dashboard-pictures dashboards deck deck-pictures dist docs golden fmt helm-tools kerberos-tools kube-tools lock monitoring-tools onboarding quick screenshots site distclean
helm-tools: ## build helm, helm-unittest and kube-score with Go if they are missing; some minutes
	@deploy/helm/tools/build .local/tools/bin
kube-tools: ## build etcd and kube-apiserver with Go if they are missing; ten minutes of CPU time
	@deploy/helm/tools/kube/build .local/tools/bin
kerberos-tools: ## install MIT Kerberos from Debian's packages if it is missing; needs root
	@deploy/kerberos-tools
monitoring-tools: ## fetch Prometheus and Alertmanager from Debian's packages if they are missing; no root
	@deploy/monitoring-tools .local/tools
onboarding: install ## write the manifest for a central Prometheus, and the list of rules for `dataops monitoring verify`
	$(PY) deploy/monitoring/generate.py
dashboard-pictures: install ## draw the dashboards from the local stack's Prometheus, without Grafana
	$(PY) dashboards/pictures.py --url http://127.0.0.1:$$(($(PORT_BASE) + 90))
	@echo "the presentation shows one of them: run make deck"
dashboards: install ## write Grafana's dashboards
	$(PY) dashboards/generate.py
animation: install ## draw the shipped incident as docs/images/incident.gif
	$(PY) docs/animation.py
deck: install ## write the presentation from its source
	$(PY) docs/exercise/presentation/build.py
deck-pictures: deck ## draw the presentation's slides into .local/deck, as PDF and PNG; needs LibreOffice
	@for tool in soffice pdftoppm; do command -v $$tool > /dev/null || { echo "$$tool is missing: apt-get install --no-install-recommends libreoffice-impress poppler-utils fonts-liberation" >&2; exit 1; }; done
	@mkdir -p .local/deck && rm -f .local/deck/*.png
	soffice -env:UserInstallation=file://$(CURDIR)/.local/deck/profile --headless --convert-to pdf --outdir .local/deck docs/exercise/presentation/dataops-tui.pptx
	pdftoppm -r 96 -png .local/deck/dataops-tui.pdf .local/deck/slide
dist: install ## build wheel and source distribution into dist; install each into an empty environment and start its programs
	rm -rf dist
	$(PY) -m hatchling build -d dist
	DATAOPS_TEST_DIST=$(CURDIR)/dist $(PY) -m pytest -q tests/packaging/test_dist.py
docs: install ## write the generated parts of the docs, and the files that come from the team's backlog
	$(PY) docs/generate.py
	$(TEAM) write
site: install ## build the docs as a site in .local/site
	$(PY) -m sphinx -q -n -W --keep-going -c docs -b html . .local/site

screenshots: install ## draw the pictures of the console in docs/images/console from test data
	PYTHONPATH=. $(PY) -m tests.screenshots
	@echo "the presentation shows one of them: run make deck"

golden: install ## write the exporter's golden expositions
	PYTHONPATH=. $(PY) -m tests.exposition

install: .local/installed ## create the environments: the project's (.venv) and Airflow's
.local/uv/bin/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}: name another with PYTHON=…")'
	@$(PYTHON) -m venv .local/uv
	@.local/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
.local/installed: $(UV) requirements/dev.txt requirements/airflow.txt pyproject.toml
	@echo "installing Python packages (about 950 MB the first time) …"
	@test -x $(PY) || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --require-hashes --python $(PY) requirements/dev.txt
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@test -x .local/airflow-venv/bin/python || $(UV) venv --quiet --python $(PYTHON) .local/airflow-venv
	@$(UV) pip sync --quiet --require-hashes --python .local/airflow-venv/bin/python requirements/airflow.txt
	@touch $@

check: install ## run ruff, mypy --strict and the import contracts
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	.venv/bin/lint-imports
	.venv/bin/lint-imports --config tests/packaging/acyclic.toml

quick: install ## run before each commit, in about a minute: lint, types, contracts, and the tests that start nothing
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target check quick-tests
quick-tests: install
	$(PYTEST) -q -n 2 -m quick tests/unit tests/packaging/test_words.py

fmt: install ## format, and apply the fixes of ruff
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

# Not `glue` and `hive`: their libraries bind dependencies of the exporter to old versions. Not `kerberos`: it is compiled.
TESTED_EXTRAS := tui web exporter sql-catalog postgres-catalog databases delta pipeline local
lock: $(UV) ## pin all dependencies, with hashes
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) --universal $(TESTED_EXTRAS:%=--extra %) --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) --universal --extra exporter pyproject.toml -o requirements/exporter.txt
	$(COMPILE) requirements/sbom.in -o requirements/sbom.txt
	$(COMPILE) requirements/airflow.in -o requirements/airflow.txt
	$(COMPILE) requirements/airflow2.in -o requirements/airflow2.txt
	$(COMPILE) requirements/dbt.in -o requirements/dbt.txt
	$(COMPILE) requirements/flink.in -o requirements/flink.txt
	$(COMPILE) requirements/kerberos.in -o requirements/kerberos.txt

distclean: clean ## remove everything that make has created here
	rm -rf .local .venv dist .mypy_cache .ruff_cache .pytest_cache
