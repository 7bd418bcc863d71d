"""Strictness for every test: four CPU devices, executed shape annotations, no silent rank promotion."""

import atexit
import functools
import os
import shutil
import tempfile
from importlib.metadata import version

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers, and processes that tests start, have all this from here
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()  # nothing is left in, or found in, the user's own
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
    # they share their compiled programs; CI names a folder for two interpreters
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["XDG_CACHE_HOME"], "programs"))
    # compiling would be most of the suite's time
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
    quick = "--xla_cpu_parallel_codegen_split_count=1"
    if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):  # later ones end where they do not know a flag
        quick += " --xla_cpu_use_fusion_emitters=false"  # a fifth of the time
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick}"

import jax
import pytest
from jaxtyping import install_import_hook

from experiments.harness.compilation_cache import keep_compilations

keep_compilations()
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
install_import_hook("segjax", "beartype.beartype")


@functools.cache
def drawn_once(room, name):
    return functools.lru_cache(maxsize=256)(getattr(room, name))


@pytest.fixture(scope="module", autouse=True)
def simulators_draw_once():
    """Scenes and pictures depend on their arguments only, and most tests ask for the same few of them."""
    from segjax.simulators import microscope, phantoms, tissue  # not before the import hook

    with pytest.MonkeyPatch.context() as patch:
        for room, name in ((phantoms, "scene"), (microscope, "render"), (tissue, "render_field")):
            patch.setattr(room, name, drawn_once(room, name))
        yield
