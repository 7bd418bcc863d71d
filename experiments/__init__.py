"""The studies, the other commands and the benchmarks: `python -m experiments` lists them."""
