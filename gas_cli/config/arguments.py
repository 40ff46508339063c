"""Arguments that Hydra and OmegaConf take without a word, and that cannot be what was meant."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Sequence
from typing import Any

from gas_cli.config.messages import setting_types
from gas_cli.config.root import Config
from gas_cli.errors import UserError


def check_arguments(arguments: Sequence[str], schema: type[Any] = Config) -> None:
    """Raise UserError for a number in the place of true or false (OmegaConf reads `evaluation.monitor=5` as true; 0 and 1 are clear), and
    for several choices of one group (`model=[gcn,gat]`: Hydra merges their settings, and the last one wins)."""
    switches = {name for name, kind in setting_types(schema).items() if kind is bool}
    groups = {name for name, kind in typing.get_type_hints(schema).items() if dataclasses.is_dataclass(kind)}
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if key in switches and any(re.fullmatch(r"[+-]?\d+", part.strip()) and part.strip() not in ("0", "1") for part in value.split(",")):
            raise UserError(f"{key}={value} is not valid: expected true or false.")
        if key in groups and value.lstrip().startswith("["):
            raise UserError(f"{key}={value} is not valid: expected one name, or with -m several without brackets, as in {key}=A,B.")
