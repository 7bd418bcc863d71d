"""Strictness for every test: four CPU devices, executed shape annotations, no silent rank promotion."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share the cache of the process that starts them
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()  # nothing is left in, or found in, the user's own
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
    # Workers and processes that tests start share their compiled programs; CI names a folder for two interpreters.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(os.environ["XDG_CACHE_HOME"], "programs"))

import jax
from jaxtyping import install_import_hook

from experiments.harness.compilation_cache import keep_compilations

keep_compilations()
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)  # compiling is most of the suite's time
jax.config.update("jax_numpy_rank_promotion", "raise")
install_import_hook("segjax", "beartype.beartype")
