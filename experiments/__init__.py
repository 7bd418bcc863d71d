"""The studies, the other commands and the benchmarks: `python -m experiments.NAME`."""

import os
import platform
import sys
from importlib.metadata import version

HUGE_PAGES = "glibc.malloc.hugetlb=1"
# Convolutions on CPU by oneDNN, which XLA has inside: U-Net steps take a fifth less time. JAX 0.10 does not use it, and
# XLA ends on settings that it does not know, so only versions that were tried are told.
ONEDNN = (
    "--xla_cpu_experimental_onednn_custom_call=true --xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_REDUCE"
)
ONEDNN_VERSIONS = ("0.11.", "0.12.")

_is_command = sys.argv[0] == "-m" and sys.platform == "linux"
if _is_command and platform.machine() == "x86_64" and version("jaxlib").startswith(ONEDNN_VERSIONS):
    _flags = os.environ.get("XLA_FLAGS", "")
    if "onednn" not in _flags:
        os.environ["XLA_FLAGS"] = f"{_flags} {ONEDNN}".strip()
if _is_command and "GLIBC_TUNABLES" not in os.environ:
    # Training steps on CPU take a fifth less time in huge pages. The C library reads its settings only at its start, so
    # a command begins anew, here, before it has loaded or done anything.
    os.environ["GLIBC_TUNABLES"] = HUGE_PAGES
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
