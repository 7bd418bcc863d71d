"""Strictness for every test: four CPU devices, executed shape annotations, no silent rank promotion."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)  # compiling is most of the suite's time
jax.config.update("jax_numpy_rank_promotion", "raise")
install_import_hook("segjax", "beartype.beartype")
