"""Tables and figures: one file for each, run as `python -m scripts.NAME`. What they share is in `scripts.lib`."""

import gas_cli  # noqa: F401  # before torch, whose threads it sets up
