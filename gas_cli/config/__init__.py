"""The settings of a run as typed dataclasses: light to import, and checked where they are declared.

One file per config group; `root.py` joins them and checks what concerns several groups; `schemas.py` has the types by group and
name; `compose.py` makes a `Config` of files and overrides. No module outside this package knows Hydra and OmegaConf.
"""
