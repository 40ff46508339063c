"""Tables and figures: one file for each, run as `python -m scripts.NAME`. What they share is in `scripts.lib`."""
