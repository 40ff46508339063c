"""What scripts and benchmarks share: options, the writer of results, the filler of pages; and the parts of the studies.

Imports go one way: `benchmarks` imports `scripts.lib`; `scripts` never imports `benchmarks`.
"""
