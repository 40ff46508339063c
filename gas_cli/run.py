"""A run from end to end: config → graph → partition → batch → history ⇄ model → train → report."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gas_cli.config.checks import AUTO
from gas_cli.config.compose import load_config, save_config
from gas_cli.config.continued import as_decided, check_unchanged, has_checkpoint
from gas_cli.config.model import ModelConfig
from gas_cli.config.root import Config
from gas_cli.errors import NotStarted, UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.splits import numbered_split
from gas_cli.lock import claimed
from gas_cli.measure.memory import RESIDENT, StagePeaks
from gas_cli.method.gas import GAS
from gas_cli.method.make import method_class
from gas_cli.model.registry import build_model, model_class
from gas_cli.prepared.prepare import Reduce, everything, prepare_files, prepare_loaded
from gas_cli.prepared.problem import Problem
from gas_cli.report.curves import plot_curves
from gas_cli.report.journal import Recorded, recorded_before
from gas_cli.report.memory import memory_line
from gas_cli.report.outcome import combine, describe, is_result_of, named, result, seconds_before, summarized
from gas_cli.report.progress import ProgressRecorder
from gas_cli.report.recorder import JsonlRecorder, Recorder, Recorders
from gas_cli.report.remarks import halo_remark, remarks
from gas_cli.report.summary import read_summary, write_summary
from gas_cli.training.assemble import make_trainer, pick_device
from gas_cli.training.checkpoint import load_checkpoint, naming
from gas_cli.training.identity import check_same_run
from gas_cli.training.parts import with_parts
from gas_cli.training.patience import check_patience, stop_line
from gas_cli.training.progress import Best, Progress, check_best
from gas_cli.training.stop import termination_as_ctrl_c
from gas_cli.training.trainer import Trainer

log = logging.getLogger(__name__)

Check = Callable[[Graph], None]
"""Raises UserError for a graph that the settings do not fit."""


def run(config: Config, folder: Path, graph: Graph | None = None) -> dict[str, Any]:
    """Train what `config` describes, or on `graph`, and leave everything in `folder`; the summary that is also in its summary.json.

    With `config.runs` > 1, run r has seed `config.seed` + r and its own folder `runs/r`; so has each of `config.dataset.folds`, with one
    seed for all. Raises UserError, Interrupted; the summary on the disk then says `failed` or `interrupted` and why. Raises NotStarted
    where another process trains in `folder`.
    """
    check_patience(config.trainer, config.evaluation.every)
    with claimed(folder):
        if has_checkpoint(folder):
            raise NotStarted(f"{folder} already holds a run: continue it with resume(folder, config), or choose another folder.")
        _write_first(config, folder)
        return _run_all(config, folder, graph)


def resume(folder: Path, config: Config, graph: Graph | None = None) -> dict[str, Any]:
    """Continue the run in `folder` from its last checkpoint; finished runs of several stay as they are. Raises like `run`, and UserError,
    with nothing changed, where `config`, the graph, a checkpoint or metrics.jsonl is not that of the run."""
    with claimed(folder):
        saved = load_config(folder / "config.yaml")
        config = as_decided(saved, config)
        check_unchanged(saved, config)
        return _run_all(config, folder, graph)


def prepare(
    config: Config, progress: bool = False, graph: Graph | None = None, reduce: Reduce = everything, check: Check = lambda graph: None
) -> Problem:
    """Load, partition, permute and normalise, or map what an earlier start has kept of that: what every run of `config` shares.

    With a `graph`, which is valid (`Graph.validate`), `config.dataset` says only how it is called and divided. `check` may refuse it.
    """
    reads_attributes = model_class(config.model).takes_edge_attr(config.model)

    def look(graph: Graph) -> Config:
        check(graph)
        for line in remarks(graph, config.dataset, config.model):
            log.info("%s", line)
        return with_parts(config, graph)

    if graph is None:
        return prepare_files(config, reads_attributes, look, progress, reduce)
    return prepare_loaded(graph, config, reads_attributes, look, progress, reduce)


def prepare_training(config: Config, progress: bool = False, graph: Graph | None = None) -> Problem:
    """The same with as much of the features as training and its evaluations read."""
    return prepare(config, progress, graph, lambda problem: _with_what_is_read(config, problem), lambda graph: _check_splits(config, graph))


def _check_splits(config: Config, graph: Graph) -> None:
    """Raise UserError where there is no split, or no validation nodes for what listens to their metric."""
    if all(bool(numbered_split(graph, run.dataset.split, run.seed).val.any()) for run in config.single_runs()):
        return
    listeners = {"trainer.patience": config.trainer.patience, "optimizer.schedule": config.optimizer.schedule}
    for key, value in listeners.items():
        if value is not None and (key == "trainer.patience" or value == "plateau"):
            raise UserError(
                f"{key}={value} needs validation nodes, and {graph.name} has a split without any. Type {key}=null, or make a split "
                "that has some (dataset.make_split=random)."
            )


def train_once(config: Config, problem: Problem, folder: Path, seed: int) -> dict[str, Any]:
    """One training run on a prepared problem, continued where `folder` holds a checkpoint; its summary."""
    trainer, before = _started(config, problem, folder, seed)
    _log_placement(trainer)
    described = named(config.dataset, config.model, config.method, problem.graph, seed) | describe(problem, trainer)
    if trainer.checkpoints.last.exists():
        described["seconds"] = seconds_before(folder)
    metrics = folder / "metrics.jsonl"
    with summarized(folder, described, lambda: result(trainer, metrics)) as summary:
        journal = JsonlRecorder(metrics, before)
        with contextlib.closing(
            _recorder(journal, config.trainer.epochs, config.logger, folder, after=trainer.progress.epoch - 1)
        ) as recorder:
            save_config(replace(config, runs=1, seed=seed), folder / "config.yaml")  # a continued run may have new settings
            trainer.fit(recorder, lambda: journal.recorded().state_dict())
    if trainer.progress.epoch <= config.trainer.epochs:
        log.info("%s", stop_line(config.trainer, trainer.progress))
    log.info("%s", memory_line(summary["memory"]))
    _plot(metrics, folder / "curves.png")
    return summary


def _started(config: Config, problem: Problem, folder: Path, seed: int) -> tuple[Trainer, Recorded]:
    """The trainer of a run where its last checkpoint left it, and what metrics.jsonl holds by then. Changes nothing in `folder`."""
    trainer = make_trainer(config, problem, folder, seed)
    if not trainer.checkpoints.last.exists():
        return trainer, Recorded()
    state = load_checkpoint(trainer.checkpoints.last)
    with naming(trainer.checkpoints.last):
        trainer.restore(state)
    _check_epochs(config.trainer.epochs, trainer.progress)
    if trainer.checkpoints.best.exists():  # it stays where no later epoch is better
        best = load_checkpoint(trainer.checkpoints.best)
        with naming(trainer.checkpoints.best):
            check_same_run(best.get("fingerprint"), trainer.state.identity)
            check_best(best.get("progress"))
    with naming(trainer.checkpoints.last):
        recorded = Recorded.from_state_dict(state.get("recorded"), trainer.progress.epoch)
    return trainer, recorded_before(folder / "metrics.jsonl", recorded)


def _check_epochs(epochs: int, progress: Progress) -> None:
    """The saved settings must not say less than what was computed with them."""
    if epochs < progress.epochs_begun:
        raise UserError(
            f"trainer.epochs={epochs} is not valid with resume: the run has trained {progress.epochs_begun} epochs. "
            f"Use trainer.epochs={progress.epochs_begun} or more, or start a shorter run in a new folder."
        )


def _run_all(config: Config, folder: Path, graph: Graph | None) -> dict[str, Any]:
    if graph is not None and graph.num_classes == 0:
        raise UserError(f"{graph.name} has no labels, so there is nothing to train on: make it with y, one label per node.")
    pick_device(config.device)  # before minutes of loading, not after
    _check_model(config.model, config.trainer.edge_dropout)  # likewise
    with termination_as_ctrl_c(), _determinism(config.deterministic):
        problem = prepare_training(config, progress=True, graph=graph)
        _log_problem(problem, config.evaluation.select)
        _warn_of_halo(config, problem)
        if config.has_auto:
            config = config.with_parts(*problem.parts)
            _write_first(config, folder)
        runs = config.single_runs()
        if len(runs) == 1:
            return train_once(config, problem, folder, config.seed)
        return _run_many(config, runs, problem, folder)


def _check_model(config: ModelConfig, edge_dropout: float) -> None:
    """Import the user's own code; raise UserError where a setting of the loop would play no part in the model."""
    if edge_dropout > 0 and not model_class(config).heeds_edge_dropout(config):
        raise UserError(
            f"trainer.edge_dropout={edge_dropout:g} is not valid with model={config.name}: it sets edge weights to 0, "
            "and this model does not read them. Use trainer.edge_dropout=0."
        )


def _with_what_is_read(config: Config, problem: Problem) -> Problem:
    """A x in the place of the features, where training and its evaluations read nothing else."""
    graph = problem.graph
    if not method_class(config.method).reads_sums or config.trainer.edge_dropout > 0:
        return problem
    reading = build_model(config.model, graph.num_features, graph.num_classes, config.seed, graph.edge_dim).reading
    if reading.messages or reading.own:
        return problem
    peaks = StagePeaks(resident=RESIDENT)
    with peaks.stage("sums"):
        summed = problem.summed()
    problem.memory.stages.update(peaks.peaks["resident"])
    return summed


def _run_many(config: Config, runs: list[Config], problem: Problem, folder: Path) -> dict[str, Any]:
    """The `runs` of `config`, which has several seeds or folds."""
    summaries: list[dict[str, Any]] = []
    shared = named(config.dataset, config.model, config.method, problem.graph, config.seed)
    shared |= {} if config.dataset.folds is None else {"folds": config.dataset.folds}
    begun = _begun(runs, problem, folder)
    what = "Run" if config.dataset.folds is None else "Fold"
    with summarized(folder, shared, lambda: combine(summaries)) as combined:
        for number, one in enumerate(runs):
            log.info("%s %d of %d", what, number + 1, len(runs))
            summaries.append(_one_of_many(one, problem, folder / run_folder(number), begun.get(number)))
            save_config(config, folder / "config.yaml")
            write_summary(folder / "summary.json", combine(summaries) | {"status": "running"})
    return combined


def _begun(runs: list[Config], problem: Problem, folder: Path) -> dict[int, Best]:
    """What the runs that have begun have reached. Raises UserError, before anything is written, where one cannot be continued."""
    reached: dict[int, Best] = {}
    for number, config in enumerate(runs):
        one = folder / run_folder(number)
        if (one / "checkpoints" / "last.pt").exists():
            reached[number] = _started(config, problem, one, config.seed)[0].progress.best
    return reached


def run_folder(number: int) -> Path:
    """Where run `number` of several is, below their common folder."""
    return Path("runs") / f"{number:02d}"


def _one_of_many(config: Config, problem: Problem, folder: Path, reached: Best | None) -> dict[str, Any]:
    """One of several runs, in a folder like that of a single one; a finished one of a resumed set is trained again only to train longer.
    A summary that is damaged, or does not say what the checkpoint has `reached`, is made anew from the checkpoint."""
    with contextlib.suppress(UserError):
        done = read_summary(folder / "summary.json")
        finished = done.get("status") == "finished" and load_config(folder / "config.yaml").trainer == config.trainer
        if finished and reached is not None and is_result_of(done, reached, problem.graph.class_names):
            return done
    with claimed(folder):
        return train_once(config, problem, folder, config.seed)


def _write_first(config: Config, folder: Path) -> None:
    """The configuration, before anything that takes long: an unwritable folder shows at once."""
    try:
        save_config(config, folder / "config.yaml")
    except OSError as error:
        raise UserError(f"Cannot write into {folder}: {error.strerror}. Choose another folder with hydra.run.dir=DIR.") from error


@contextlib.contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    """Determinism for one run; left as it was found, since the jobs of a sweep share a process."""
    if not wanted:  # torch's function imports its compiler, which takes a second and more
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for before it calls cuBLAS deterministic
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _recorder(journal: JsonlRecorder, epochs: int, logger: str | None, folder: Path, after: int) -> Recorder:
    """metrics.jsonl always, a bar or lines, and the logger, if there is one; epochs beyond `after` will be recorded anew."""
    recorders: list[Recorder] = [journal, ProgressRecorder(epochs, start=after)]
    if logger is not None:  # TensorBoard is the only one
        from gas_cli.report.tensorboard import TensorBoardRecorder

        recorders.append(TensorBoardRecorder(folder / "tensorboard", after))
    return Recorders(recorders)


def _warn_of_halo(config: Config, problem: Problem) -> None:
    """Of parts that somebody has set."""
    if config.method.has_parts and config.partitioner.num_parts != AUTO:
        remark = halo_remark(problem.train_parts, config.trainer.batch_parts, problem.partition.quality.halo_ratio)
        if remark:
            log.warning("%s", remark)


def _log_problem(problem: Problem, select: str | None) -> None:
    graph, partition = problem.graph, problem.partition
    log.info(
        "%s: %d nodes, %d edges, %d features, %d %s; %d part%s, edge cut %.1f %%, halo ratio %.2f",
        graph.name, graph.num_nodes, graph.num_edges, graph.num_features, graph.num_classes, "targets" if graph.regression else "classes",
        partition.num_parts, "s" * (partition.num_parts != 1), 100 * partition.quality.edge_cut, partition.quality.halo_ratio,
    )  # fmt: skip
    best = "" if select in (None, graph.metric) else f"; best epoch by {select}"
    outputs = "target" if graph.regression else "label" if problem.multilabel else "class"
    several = "" if graph.num_classes == 1 else "es" if outputs == "class" else "s"
    log.info("Task: %s (%d %s%s), %s%s", graph.task, graph.num_classes, outputs, several, graph.metric, best)
    if graph.inductive:
        log.info("Inductive: training sees only %d parts with %d nodes.", problem.train_parts, problem.num_seen)


def _log_placement(trainer: Trainer) -> None:
    histories = trainer.histories
    if histories is not None:
        size = f"{histories.bytes_per_node} bytes per node, {histories.nbytes / 2**20:.1f} MiB in total"
        log.info("Histories: %s (%s, %s).", size, str(histories.dtype).removeprefix("torch."), histories.placement)
    elif isinstance(trainer.method, GAS):
        log.info("Histories: 0 bytes: each step holds the whole graph, so nothing reads them.")
    if trainer.device.type == "cuda":
        on_device = trainer.graph_device.type == "cuda"
        log.info(
            "Batches are built %s.", "on the device, from a copy of the graph" if on_device else "on the host and copied to the device"
        )


def _plot(metrics: Path, out: Path) -> None:
    try:
        plot_curves(metrics, out)
    except OSError as error:
        log.warning("%s cannot be written: %s.", out, error.strerror or error)
