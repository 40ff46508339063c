"""Lets `python scripts/NAME.py` find `scripts.lib`, as `python -m scripts.NAME` does: nothing to run.

Python then looks for modules in this folder and not in the one above, so this file is the package `scripts`, with the same modules.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parent)]
