"""Benchmarks: ratios within one run, so that a shared machine's mood cancels out. `make bench` runs all of them."""
