"""The studies, the other commands and the benchmarks: `python -m experiments.NAME`."""

import os
import sys

HUGE_PAGES = "glibc.malloc.hugetlb=1"

if sys.argv[0] == "-m" and sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
    # Training steps on CPU take a fifth less time in huge pages. The C library reads its settings only at its start, so
    # a command begins anew, here, before it has loaded or done anything.
    os.environ["GLIBC_TUNABLES"] = HUGE_PAGES
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
