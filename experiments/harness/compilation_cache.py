"""Compiled programs kept between runs, so that a second run compiles nothing that the first one did."""

import hashlib
import os
import platform
from pathlib import Path

import jax


def keep_compilations() -> Path:
    """Turn JAX's persistent cache on, unless JAX_COMPILATION_CACHE_DIR chooses another place; returns its folder.

    Programs are machine code, so every version of jaxlib and every kind of processor has a folder of its own, under
    XDG_CACHE_HOME or ~/.cache.
    """
    if chosen := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = Path(chosen)
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "segjax" / f"jax-{jax.__version__}-{_processor()}"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _processor() -> str:
    """Eight hexadecimal digits that differ between kinds of processors."""
    facts = platform.machine() + platform.processor()
    if (described := Path("/proc/cpuinfo")).exists():
        lines = described.read_text(encoding="utf-8").splitlines()
        facts += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return hashlib.sha256(facts.encode()).hexdigest()[:8]
