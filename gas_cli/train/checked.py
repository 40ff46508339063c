"""What a checkpoint holds against what this run has made: everything is checked before anything is used.

Every function raises UserError with the first thing that does not fit. The fused update walks weights and moments by address, so nothing
gets there whose type, shape and memory layout were not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from gas_cli.errors import UserError
from gas_cli.history.store import NEVER, HistoryStore
from gas_cli.train.optimizer import Optimizer
from gas_cli.train.progress import Progress

VALUES_AT_A_TIME = 1 << 24
MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
COUNTERS = ("last_epoch", "_step_count", "num_bad_epochs", "cooldown_counter", "T_max")
"""Whole numbers of a learning-rate schedule that its run changes; T_max follows trainer.epochs, which may be changed."""


def check_weights(saved: Any, expected: Mapping[str, Tensor]) -> None:
    """A model's state: the names, types and shapes of `expected`, and finite."""
    _check_keys("the weights", saved, expected.keys())
    for name, like in expected.items():
        check_tensor(f"the weight {name}", saved[name], like)


def check_histories(saved: Any, store: HistoryStore | None, step: int | None = None) -> None:
    """Tables as `store` has them, finite; `pushed_at` int64 [P] between NEVER and `step`, any step where that is None."""
    if store is None:
        return _check_keys("the histories", saved, ())
    _check_keys("the histories", saved, ("tables", "pushed_at"))
    tables = saved["tables"]
    if not isinstance(tables, list) or len(tables) != len(store.tables):
        found = f"{len(tables)} tables" if isinstance(tables, list) else f"a {type(tables).__name__}"
        misfit(f"the histories are {found}", f"a list of {len(store.tables)} tables")
    for layer, (table, like) in enumerate(zip(tables, store.tables, strict=True), start=1):
        check_tensor(f"the history of layer {layer}", table, like)
    check_tensor("pushed_at of the histories", saved["pushed_at"], store.pushed_at)
    if saved["pushed_at"].numel() and (saved["pushed_at"].min() < NEVER or (step is not None and saved["pushed_at"].max() > step)):
        misfit("pushed_at of the histories names steps that were not done", f"numbers from {NEVER} to {step}")
    return None


def check_optimizer(saved: Any, optimizer: Optimizer, progress: Progress) -> None:
    """Adam's groups and moments, and the schedule, as `optimizer` has them at this point of the training."""
    expected = optimizer.state_dict()
    _check_keys("the optimizer", saved, expected.keys())
    _check_keys("the optimizer's Adam", saved["adam"], ("state", "param_groups"))
    rates = _check_groups(saved["adam"]["param_groups"], expected["adam"]["param_groups"], optimizer)
    parameters = [parameter for group in optimizer.adam.param_groups for parameter in group["params"]]
    _check_moments(saved["adam"]["state"], parameters, progress)
    _check_schedule(saved["scheduler"], expected["scheduler"], rates, progress)


def check_generators(saved: Any, device: torch.device) -> None:
    """The states of torch's generators: of the CPU, and of the run's device, None where that was the CPU."""
    _check_keys("the generators", saved, ("cpu", "cuda"))
    check_tensor("the state of the CPU's generator", saved["cpu"], torch.get_rng_state())
    _check_accepted("the state of the CPU's generator", saved["cpu"], torch.Generator())
    if saved["cuda"] is None:
        return
    if not isinstance(saved["cuda"], Tensor):
        misfit(f"the state of the device's generator is a {type(saved['cuda']).__name__}", "a tensor")
    if device.type == "cuda":
        check_tensor("the state of the device's generator", saved["cuda"], torch.cuda.get_rng_state(device))
        _check_accepted("the state of the device's generator", saved["cuda"], torch.Generator(device))


def check_tensor(name: str, value: Any, like: Tensor) -> None:
    """A plain tensor of `like`'s type and shape, each entry at an address of its own, floating-point ones finite."""
    wanted = f"{_type(like)} {list(like.shape)}"
    if type(value) not in (Tensor, nn.Parameter) or value.layout is not torch.strided or value.device.type != "cpu":
        misfit(f"{name} is a {_type(value) + ' tensor without values' if isinstance(value, Tensor) else type(value).__name__}", wanted)
    if value.dtype != like.dtype or value.shape != like.shape:
        misfit(f"{name} is {_type(value)} {list(value.shape)}", wanted)
    if not _dense(value):
        misfit(f"entries of {name} share memory (strides {list(value.stride())})", "an address for each")
    if not _finite(value):
        misfit(f"{name} has NaN or infinite entries", "finite numbers")


def _check_accepted(name: str, state: Tensor, unused: torch.Generator) -> None:
    try:
        unused.set_state(state)  # torch looks at the content
    except RuntimeError as error:
        misfit(f"{name} is not valid ({str(error).splitlines()[0]})", "one that torch has written")


def misfit(found: str, expected: str) -> NoReturn:
    found = " ".join(found.split())  # a crafted value may be written over several lines
    raise UserError(
        f"the checkpoint does not fit this run: {found}, expected {expected}. Bring an intact checkpoint back, or start the run again."
    )


def _check_keys(what: str, saved: Any, expected: Any) -> None:
    """`saved` is a mapping with exactly the keys `expected`."""
    if not isinstance(saved, dict):
        misfit(f"{what} are a {type(saved).__name__}", "a mapping")
    missing, extra = ([key for key in one if key not in other] for one, other in ((expected, saved), (saved, expected)))
    if missing:
        misfit(f"{what} lack {missing[0]}", "all of them")
    if extra:
        misfit(f"{what} have {str(extra[0])[:80]!r}", "nothing that this run does not have")


def _check_groups(saved: Any, expected: list[dict[str, Any]], optimizer: Optimizer) -> list[float]:
    """All options as this run sets them, except the learning rates, which are returned: the schedule moves them."""
    if not isinstance(saved, list) or len(saved) != len(expected):
        misfit("the optimizer's groups are others", f"a list of {len(expected)} groups")
    highest = max(optimizer.config.lr, optimizer.config.min_lr) * (1 + 1e-9)
    for group, like in zip(saved, expected, strict=True):
        _check_keys("the optimizer's groups", group, like.keys())
        for key, value in like.items():
            if key != "lr" and repr(group[key]) != repr(value):
                misfit(f"{key} of the optimizer is {str(group[key])[:80]}", str(value))
        if type(group["lr"]) is not float or not 0 <= group["lr"] <= highest:
            misfit(f"the learning rate is {str(group['lr'])[:80]}", f"a number from 0 to {highest:g}")
    return [group["lr"] for group in saved]


def _check_moments(saved: Any, parameters: list[nn.Parameter], progress: Progress) -> None:
    """A parameter without gradient has none; the others have them from their first update on."""
    if not isinstance(saved, dict) or any(type(key) is not int or not 0 <= key < len(parameters) for key in saved):
        misfit("the optimizer's moments are not numbered as its parameters are", f"numbers from 0 to {len(parameters) - 1}")
    if not saved and progress.loss_count > 0:
        misfit("the optimizer has no moments", "those of the steps that were done")
    for number, moments in saved.items():
        _check_keys(f"the moments of parameter {number}", moments, MOMENTS)
        check_tensor(f"step of parameter {number}", moments["step"], torch.zeros(()))
        for name in ("exp_avg", "exp_avg_sq"):
            check_tensor(f"{name} of parameter {number}", moments[name], parameters[number])
        done = float(moments["step"].detach())
        if not 0 <= done <= progress.step or done != math.floor(done):
            misfit(f"parameter {number} was updated {done:g} times", f"a whole number from 0 to {progress.step}")
        if bool((moments["exp_avg_sq"] < 0).any()):
            misfit(f"exp_avg_sq of parameter {number} has negative entries", "squares")


def _check_schedule(saved: Any, expected: dict[str, Any], rates: list[float], progress: Progress) -> None:
    _check_keys("the schedule", saved, expected.keys())
    for key, value in expected.items():
        found = saved[key]
        if key in COUNTERS:
            fits, wanted = type(found) is int and found >= int(key == "T_max"), "a whole number"
        elif key == "best":
            fits, wanted = type(found) in (int, float) and not math.isnan(found), "a number"
        else:
            wanted = repr(rates if key == "_last_lr" else value)
            fits = repr(found) == wanted
        if not fits:
            misfit(f"{key} of the schedule is {str(found)[:80]}", wanted)
    done, evaluated_only = progress.epoch - 1, "mode_worse" in expected  # a plateau's schedule moves with evaluations
    if saved["last_epoch"] > done or (saved["last_epoch"] < done and not evaluated_only):
        misfit(f"the schedule has moved {saved['last_epoch']} times", f"once in each of the {done} epochs")


def _dense(value: Tensor) -> bool:
    """Whether the entries fill a piece of memory without gap or overlap, in any order of the dimensions."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(value.stride(), value.shape, strict=True) if size > 1):
        if stride != expected:
            return False
        expected *= size
    return True


def _finite(value: Tensor) -> bool:
    """In blocks of rows: a history may take more than half of the memory."""
    if not value.is_floating_point() or value.dim() == 0 or value.numel() == 0:
        return bool(torch.isfinite(value).all())
    rows = max(1, VALUES_AT_A_TIME // value[0].numel())
    return all(bool(torch.isfinite(value[start : start + rows]).all()) for start in range(0, value.shape[0], rows))


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
