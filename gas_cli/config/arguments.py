"""Arguments that Hydra and OmegaConf take without a word, and that cannot be what was meant."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Sequence
from typing import Any

from gas_cli.config.messages import setting_types
from gas_cli.config.removed import REMOVED
from gas_cli.config.root import Config
from gas_cli.errors import UserError


def check_arguments(arguments: Sequence[str], schema: type[Any] = Config) -> None:
    """Raise UserError for these arguments.

    A number in the place of true or false: OmegaConf reads `trainer.shuffle=5` as true; 0 and 1 are clear. Several choices of one group
    (`model=[gcn,gat]`): Hydra merges their settings, and the last one wins. `logger.name`: `logger`
    was a group, and Hydra has no place for it now.
    """
    switches = {name for name, kind in setting_types(schema).items() if kind is bool}
    groups = {name for name, kind in typing.get_type_hints(schema).items() if dataclasses.is_dataclass(kind)}
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if key in switches and any(re.fullmatch(r"[+-]?\d+", part.strip()) and part.strip() not in ("0", "1") for part in value.split(",")):
            raise UserError(f"{key}={value} is not valid: expected true or false.")
        if key == "logger.name":
            raise UserError(f"{key} is not a setting any more. {REMOVED[key]}")
        if key in groups and value.lstrip().startswith("["):
            raise UserError(f"{key}={value} is not valid: expected one name, or with -m several without brackets, as in {key}=A,B.")
