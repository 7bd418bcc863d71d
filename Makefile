# Each target makes the environment it needs with the standard library's venv and pip.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint bench clean

# The quickest study first; every study adds its page to runs/index.html.
demo: $(VENV)/installed-demo
	mkdir -p runs
	$(BIN)/python -m experiments.index runs --open
	$(BIN)/python -m experiments.few_shot --scale demo --out runs/demo_few_shot
	$(BIN)/python -m experiments.activation_maps --scale demo --out runs/demo_maps
	$(BIN)/python -m experiments.annotation_errors --scale demo --out runs/demo
	$(BIN)/python -m experiments.annotation_upgrade --scale demo --out runs/demo_upgrade
	$(BIN)/python -m experiments.site_segmentation --scale demo --out runs/demo_sites
	$(BIN)/python -m experiments.annotation_budget --scale demo --out runs/demo_budget
	@$(BIN)/python -m experiments.index runs

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One after the other: two timings at once would disturb each other. BENCH_OPTIONS="--scale smoke" shows that all run.
BENCHMARKS = training_step inference packs annotation_errors upgrading metrics growth memory map_loop few_shot activation_maps decisions compared_labels patches claims \
	encoders map_parity
bench: $(VENV)/installed-bench
	for name in $(BENCHMARKS); do $(BIN)/python -m experiments.benchmarks.$$name $(BENCH_OPTIONS) || exit 1; done

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "$(PYTHON) is not Python 3.11 to 3.13; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# With `geo`, the study of sites writes its outlines as GeoPackage and GeoTIFF.
$(VENV)/installed-demo: $(VENV)/created pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[geo,studies]'
	touch $@

$(VENV)/installed-dev: $(VENV)/created pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,formats,geo,studies,tensorboard]'
	touch $@ $(VENV)/installed-demo

# PyTorch for the CPU: the index of Python packages has it with gigabytes of CUDA libraries on Linux.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
$(VENV)/installed-bench: $(VENV)/created pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--extra-index-url $(TORCH_INDEX) -e '.[bench,studies]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
