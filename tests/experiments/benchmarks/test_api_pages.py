"""The list of the library's names is that of its docstrings, and stays short."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

from experiments.benchmarks import api_pages
from segjax.models import CLASSIFIERS, ENCODERS, NETWORKS, create

ROOT = Path(__file__).parents[3]
AGAIN = "run: python -m experiments.benchmarks.api_pages"
MOST = 150  # a name more is a promise more: decide which other one nobody needs


def test_the_page_is_that_of_the_docstrings():
    assert (ROOT / api_pages.PAGE).read_text() == api_pages.api_page(), AGAIN


def test_help_of_create_lists_every_network():
    known = inspect.getdoc(create)
    assert "\n".join(line.strip() for line in api_pages.network_list().splitlines()) in "\n".join(
        line.strip() for line in known.splitlines()
    ), AGAIN
    for name, kind in {**NETWORKS, **CLASSIFIERS}.items():
        (own,) = re.findall(rf"^{name}: .*?receptive field", known, re.MULTILINE | re.DOTALL)
        assert all(f"{option}=" in own for option in kind.OPTIONS) and re.search(r"[\d,]{5,} parameters", own)
    assert all(f"    {encoder}: " in known for encoder in ENCODERS)


def test_every_public_name_says_what_it_is():
    for name, room in api_pages.rooms().items():
        for one in room.__all__:
            said = api_pages.said_of(getattr(room, one))
            assert len(said) > 10 and not said.startswith(f"{one}("), f"{name}.{one}: {said}"


def test_the_rooms_have_few_public_names():
    assert sum(len(room.__all__) for room in api_pages.rooms().values()) <= MOST


def test_networks_load_quickly():
    """Packages that take long to load are not loaded for networks, beyond what JAX and Flax load themselves."""
    code = "import sys, jax, flax.linen; known = {*sys.modules}; import segjax.models; print(*{*sys.modules} - known)"
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()
    tops = {module.split(".")[0] for module in loaded if not module.startswith("_")}
    allowed = {"segjax", "safetensors", "jaxtyping", "numpy", "jax", *sys.stdlib_module_names}
    assert "segjax" in tops and tops <= allowed, tops - allowed
