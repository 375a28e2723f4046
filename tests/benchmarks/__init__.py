"""Benchmarks, not tests: they print tables, peers measured in the same run, ratios quoted."""
