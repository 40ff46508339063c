"""The text of `gas-train --help`, with the choices as they are in `conf/`."""

from __future__ import annotations

import textwrap
from pathlib import Path

from gas_cli.config.compose import config_directory
from gas_cli.config.registered import REGISTRIES, registered

GROUPS = ("dataset", "partitioner", "model", "history", "method", "optimizer", "trainer", "evaluation", "experiment")

TEXT = """\
gas-train: train graph neural networks on graphs larger than the device (GNNAutoScale, ICML 2021)

usage: gas-train [group=choice ...] [setting=value ...] [-m] [--cfg job] [--config-dir DIR]
       gas-train resume=RUN_DIR [setting=value ...]
       gas-train doctor | --version | --help

groups and their choices
{groups}

examples
  gas-train                                                  # generated graph, GCN, GAS; needs no network
  gas-train dataset=cora model=gcn dataset.root=DIR seed=0   # published hyper-parameters of that pair by themselves
  gas-train dataset=ogbn-arxiv model=gcn
  gas-train -m model=gcn dataset=cora,citeseer seed=0,1,2    # multirun: all combinations, one table at the end

settings people ask for (gas-train --cfg job shows all of them)
  partitioner.num_parts=40      parts the graph is cut into
  history.placement=auto|device|pinned|host    history.dtype=float32|float16|bfloat16
  history.pipeline=true|false                  history.refresh=null|N
  evaluation.mode=exact|history                evaluation.every=1
  trainer.epochs=200            trainer.batch_parts=10          trainer.patience=null|N
  seed=0   runs=20   device=auto|cpu|cuda   precision=float32|bfloat16   deterministic=true

other
  resume=RUN_DIR                continue a run in its folder (a sweep: the same line again, with its hydra.sweep.dir=DIR)
  '~tuned'                      leave out the published hyper-parameters of the pair
  hydra.run.dir=DIR             the run's folder (hydra.sweep.dir=DIR with -m)
  hydra/launcher=joblib         run the jobs of a multirun side by side (pip install 'gas-cli[joblib]')
  --config-dir DIR              a folder of your own configs, such as DIR/dataset/mine.yaml
  --cfg job                     show the configuration instead of running it; --info: where it comes from
  -sc install=bash              print the shell completion (eval "$(gas-train -sc install=bash)")
  GAS_DATA                      environment variable: default of dataset.root

exit codes
  0 finished   1 failed unexpectedly (the run's log has the traceback)   2 something to mend: a setting, a file, a device
  130 interrupted (Ctrl-C): saved, to be continued with resume=RUN_DIR"""


def train_help() -> str:
    """The whole text."""
    width = max(map(len, GROUPS))
    choices = {group: _choices(config_directory() / group) for group in GROUPS}
    for group in REGISTRIES:
        choices[group] += sorted(registered(group).schemas)
    lines = [_wrapped(f"  {group:<{width}}  ", ", ".join(names)) for group, names in choices.items()]
    return TEXT.format(groups="\n".join(lines))


def _choices(group: Path) -> list[str]:
    return sorted(file.stem for file in group.glob("*.yaml"))


def _wrapped(head: str, text: str) -> str:
    return textwrap.fill(text, 110, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)
