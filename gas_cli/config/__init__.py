"""The settings of a run as typed dataclasses: light to import, and checked where they are declared.

One file per config group; `root.py` joins them and checks what concerns several groups; `compose.py` is the only
module of the package that knows Hydra and OmegaConf.
"""
