"""What a checkpoint holds against what this run has made: everything is checked before anything is used.

Every function raises UserError with the first thing that does not fit. The fused update walks weights and moments by address, so nothing
gets there whose type, shape and memory layout were not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gas_cli.config.checks import MAX_COUNT
from gas_cli.config.training import MAX_EPOCHS
from gas_cli.saved import check_keys, check_tensor, misfit
from gas_cli.training.optimizer import Optimizer
from gas_cli.training.progress import Progress

MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
COUNTERS = ("last_epoch", "_step_count", "num_bad_epochs", "cooldown_counter", "T_max")
"""Whole numbers of a learning-rate schedule that its run changes; T_max follows trainer.epochs, which may be changed."""


def check_weights(saved: Any, expected: Mapping[str, Tensor]) -> None:
    """A model's state: the names, types and shapes of `expected`, and finite."""
    check_keys("the weights", saved, expected.keys())
    for name, like in expected.items():
        check_tensor(f"the weight {name}", saved[name], like)


def check_optimizer(saved: Any, optimizer: Optimizer, progress: Progress, pending: int = 0) -> None:
    """Adam's groups and moments, and the schedule, as `optimizer` has them at this point of the training: `pending` batches after the last
    update, of which some have gradients that wait for the next one."""
    expected = optimizer.state_dict()
    waits = isinstance(saved, dict) and "waiting" in saved
    check_keys("the optimizer", saved, ("adam", "scheduler", "waiting", "gradients") if waits else ("adam", "scheduler"))
    if waits:
        _check_waiting(saved["waiting"], saved["gradients"], optimizer.parameters, pending)
    check_keys("the optimizer's Adam", saved["adam"], ("state", "param_groups"))
    rates = _check_groups(saved["adam"]["param_groups"], expected["adam"]["param_groups"], optimizer)
    parameters = [parameter for group in optimizer.adam.param_groups for parameter in group["params"]]
    _check_moments(saved["adam"]["state"], parameters, progress, pending)
    _check_schedule(saved["scheduler"], expected["scheduler"], rates, progress)


def check_generators(saved: Any, device: torch.device) -> None:
    """The states of torch's generators: of the CPU, and of the run's device, None where that was the CPU."""
    check_keys("the generators", saved, ("cpu", "cuda"))
    check_tensor("the state of the CPU's generator", saved["cpu"], torch.get_rng_state())
    _check_accepted("the state of the CPU's generator", saved["cpu"], torch.Generator())
    if saved["cuda"] is None:
        return
    if not isinstance(saved["cuda"], Tensor):
        misfit(f"the state of the device's generator is a {type(saved['cuda']).__name__}", "a tensor")
    if device.type == "cuda":
        check_tensor("the state of the device's generator", saved["cuda"], torch.cuda.get_rng_state(device))
        _check_accepted("the state of the device's generator", saved["cuda"], torch.Generator(device))


def _check_accepted(name: str, state: Tensor, unused: torch.Generator) -> None:
    try:
        unused.set_state(state)  # torch looks at the content
    except RuntimeError as error:
        misfit(f"{name} is not valid ({str(error).splitlines()[0]})", "one that torch has written")


def _check_groups(saved: Any, expected: list[dict[str, Any]], optimizer: Optimizer) -> list[float]:
    """All options as this run sets them, except the learning rates, which are returned: the schedule moves them."""
    if not isinstance(saved, list) or len(saved) != len(expected):
        misfit("the optimizer's groups are others", f"a list of {len(expected)} groups")
    highest = max(optimizer.config.lr, optimizer.config.min_lr) * (1 + 1e-9)
    for group, like in zip(saved, expected, strict=True):
        check_keys("the optimizer's groups", group, like.keys())
        for key, value in like.items():
            if key != "lr" and repr(group[key]) != repr(value):
                misfit(f"{key} of the optimizer is {str(group[key])[:80]}", str(value))
        if type(group["lr"]) is not float or not 0 <= group["lr"] <= highest:
            misfit(f"the learning rate is {str(group['lr'])[:80]}", f"a number from 0 to {highest:g}")
    return [group["lr"] for group in saved]


def _check_waiting(waiting: Any, gradients: Any, parameters: Sequence[nn.Parameter], pending: int) -> None:
    if type(waiting) is not int or not 0 < waiting <= pending:
        misfit(f"gradients of {str(waiting)[:80]} batches wait for an update", f"of at most {pending}, the batches since the last one")
    if not isinstance(gradients, list) or len(gradients) != len(parameters):
        misfit("the gradients that wait for an update are others", f"a list of {len(parameters)}, one for each parameter")
    for number, (gradient, parameter) in enumerate(zip(gradients, parameters, strict=True)):
        if gradient is not None:
            check_tensor(f"the gradient of parameter {number}", gradient, parameter)


def _check_moments(saved: Any, parameters: list[nn.Parameter], progress: Progress, pending: int) -> None:
    """A parameter without gradient has none; the others have them from their first update on."""
    if not isinstance(saved, dict) or any(type(key) is not int or not 0 <= key < len(parameters) for key in saved):
        misfit("the optimizer's moments are not numbered as its parameters are", f"numbers from 0 to {len(parameters) - 1}")
    if not saved and progress.loss_count > pending:
        misfit("the optimizer has no moments", "those of the steps that were done")
    for number, moments in saved.items():
        check_keys(f"the moments of parameter {number}", moments, MOMENTS)
        check_tensor(f"step of parameter {number}", moments["step"], torch.zeros(()))
        for name in ("exp_avg", "exp_avg_sq"):
            check_tensor(f"{name} of parameter {number}", moments[name], parameters[number])
        done = float(moments["step"].detach())
        if not 0 <= done <= progress.step or done != math.floor(done):
            misfit(f"parameter {number} was updated {done:g} times", f"a whole number from 0 to {progress.step}")
        if bool((moments["exp_avg_sq"] < 0).any()):
            misfit(f"exp_avg_sq of parameter {number} has negative entries", "squares")


def _check_schedule(saved: Any, expected: dict[str, Any], rates: list[float], progress: Progress) -> None:
    check_keys("the schedule", saved, expected.keys())
    for key, value in expected.items():
        found = saved[key]
        if key in COUNTERS:
            low, high = (1, MAX_EPOCHS) if key == "T_max" else (0, MAX_COUNT)
            fits, wanted = type(found) is int and low <= found <= high, f"a whole number from {low} to {high}"
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
