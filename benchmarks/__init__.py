"""Measurements of speed and memory: one file for each, run as `python -m benchmarks.NAME`. What they share is in `benchmarks.lib`."""
