"""The shipped configuration: every file composes, the published numbers are the published ones, every experiment trains."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
from pathlib import Path

import pytest

from gas_cli.config.compose import compose_config, config_directory
from gas_cli.config.model import GATConfig
from gas_cli.config.root import Config

CONF = config_directory()
PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "paper" / "hyperparameters.csv"
DATASETS = {
    "Cora": "cora",
    "CiteSeer": "citeseer",
    "PubMed": "pubmed",
    "CoauthorCS": "coauthor-cs",
    "CoauthorPhysics": "coauthor-physics",
    "AmazonComputers": "amazon-computers",
    "AmazonPhoto": "amazon-photo",
    "WikiCS": "wiki-cs",
    "reddit": "reddit2",  # the form of Reddit that the paper's code loads
    "ppi": "ppi",
    "flickr": "flickr",
    "yelp": "yelp",
    "arxiv": "ogbn-arxiv",
    "products": "ogbn-products",
}
ALIKE = {"reddit": "reddit2"}
"""Datasets that take over the rows of another one."""
EXAMPLE = ("cluster", "gin")
"""A pair that is published as an example, not in the table."""
MODELS = {"GCN": "gcn", "GCN2": "gcnii", "APPNP": "appnp", "GAT": "gat", "PNA": "pna", "PNA_JK": "pna_jk"}
MODEL_COLUMNS = (
    "num_layers",
    "hidden_channels",
    "dropout",
    "alpha",
    "theta",
    "drop_input",
    "batch_norm",
    "residual",
    "linear",
    "shared_weights",
)
LIST_COLUMNS = ("aggregators", "scalers")


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def pairs() -> list[tuple[str, str]]:
    return sorted((path.parent.name, path.stem) for path in (CONF / "tuned").rglob("*.yaml"))


@functools.cache
def tuned_config(dataset: str, model: str) -> Config:
    """A pair with its published settings, composed once: not to be changed."""
    return compose_config([f"dataset={dataset}", f"model={model}"])


@pytest.mark.parametrize("group", ["dataset", "model", "history", "method", "optimizer", "trainer", "evaluation", "experiment"])
def test_every_choice_composes(group: str) -> None:
    for choice in choices(group):
        config = compose_config([f"{group}={choice}", *(["model.module=my_layers.py"] if choice == "custom" else [])])
        if group in ("dataset", "model", "method"):
            assert getattr(config, group).name == choice


@pytest.mark.parametrize("choice", choices("partitioner"))
def test_every_partitioner_composes(choice: str) -> None:
    assert compose_config([f"partitioner={choice}", "partitioner.file=parts.npy"]).partitioner.name == choice


@pytest.mark.parametrize(("dataset", "model"), pairs())
def test_a_pair_has_the_same_model_in_full_batch_and_gives_way_to_overrides(dataset: str, model: str) -> None:
    tuned = tuned_config(dataset, model)
    assert tuned.history.refresh == 1 and tuned.trainer.loss_weighting == "batch_mean"
    overrides = ["method=full_batch", "trainer.epochs=3", "model.dropout=0.25", "history.refresh=null"]
    changed = compose_config([f"dataset={dataset}", f"model={model}", *overrides])
    assert changed.method.name == "full_batch" and changed.optimizer == tuned.optimizer
    assert changed.model == dataclasses.replace(tuned.model, dropout=0.25)
    assert (changed.trainer.epochs, changed.history.refresh) == (3, None)


@pytest.mark.parametrize(("dataset", "model"), pairs())
def test_a_pair_takes_the_defaults_without_its_file(dataset: str, model: str) -> None:
    assert compose_config([f"dataset={dataset}", f"model={model}", "~tuned"]).trainer == Config().trainer


def test_an_unknown_pair_takes_the_defaults() -> None:
    assert ("generated", "gcn") not in pairs()
    assert compose_config(["dataset=generated", "model=gcn"]).trainer == Config().trainer


def published_rows() -> list[dict[str, str]]:
    if not PUBLISHED.exists():
        return []
    with PUBLISHED.open() as file:
        return [row for row in csv.DictReader(file) if row["dataset"] in DATASETS and row["model"] in MODELS]


@pytest.mark.skipif(not PUBLISHED.exists(), reason="needs ../shared/paper/hyperparameters.csv, the published table")
def test_every_published_pair_has_its_file() -> None:
    published = {(DATASETS[row["dataset"]], MODELS[row["model"]]) for row in published_rows()}
    assert set(pairs()) - {EXAMPLE} == published | {
        (name, model) for name, other in ALIKE.items() for dataset, model in published if dataset == other
    }


@pytest.mark.parametrize(("dataset", "model"), [pair for pair in pairs() if pair[0] in ALIKE])
def test_an_alike_pair_has_the_numbers_of_the_other(dataset: str, model: str) -> None:
    config, other = tuned_config(dataset, model), tuned_config(ALIKE[dataset], model)
    assert config == dataclasses.replace(other, dataset=dataclasses.replace(other.dataset, name=dataset))


@pytest.mark.parametrize("row", published_rows(), ids=lambda row: f"{row['dataset']}-{row['model']}")
def test_a_pair_has_the_published_numbers(row: dict[str, str]) -> None:
    config = tuned_config(DATASETS[row["dataset"]], MODELS[row["model"]])
    found = {
        **{name: getattr(config.model, name) for name in MODEL_COLUMNS if row[name]},
        **({"hidden_heads": config.model.heads, "out_heads": config.model.out_heads} if isinstance(config.model, GATConfig) else {}),
        "norm": config.model.normalization == "sym",
        "num_parts": config.partitioner.num_parts,
        "batch_size": config.trainer.batch_parts,
        "lr": config.optimizer.lr,
        "reg_weight_decay": config.optimizer.reg_weight_decay,
        "nonreg_weight_decay": config.optimizer.weight_decay,
        "grad_norm": config.optimizer.grad_norm or 0,
        "epochs": config.trainer.epochs,
        "max_steps": config.trainer.max_steps or 0,
        "edge_dropout": config.trainer.edge_dropout,
    }
    for name in LIST_COLUMNS:
        assert str(getattr(config.model, name, "")) == row[name]
    wrong = {name: (value, row[name]) for name, value in found.items() if not math.isclose(float(value), number(row[name]))}
    assert wrong == {}


def test_gin_on_cluster_trains_with_the_settings_of_the_released_example(tmp_path: Path) -> None:
    from gas_cli.run import run

    small = ["dataset.num_train_graphs=6", "dataset.num_val_graphs=1", "dataset.num_test_graphs=1", "dataset.root=nowhere"]
    chosen = ["dataset=cluster", "model=gin", *small]
    config = compose_config(chosen)
    settings = (config.partitioner.num_parts, config.trainer.batch_parts, config.trainer.epochs, config.model.num_layers)
    assert settings == (10_000, 256, 150, 4)
    assert (config.trainer.lipschitz.weight, config.trainer.lipschitz.noise, config.optimizer.schedule) == (1.0, 0.1, "plateau")
    fewer = ["partitioner.num_parts=12", "trainer.batch_parts=6", "trainer.epochs=2", "partitioner.cache=null", "device=cpu"]
    summary = run(compose_config([*chosen, *fewer]), tmp_path)
    assert summary["status"] == "finished" and math.isfinite(summary["val"])
    assert not any("running" in name for name in stored_weights(tmp_path))


def stored_weights(folder: Path) -> list[str]:
    from gas_cli.training.checkpoint import load_checkpoint

    return list(load_checkpoint(folder / "checkpoints" / "last.pt")["model"])


def number(cell: str) -> float:
    """An empty cell turns the option off; True and False are 1 and 0."""
    return {"": 0.0, "True": 1.0, "False": 0.0}.get(cell) if cell in ("", "True", "False") else float(cell)  # type: ignore[return-value]


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_trains_for_two_epochs(experiment: str, tmp_path: Path) -> None:
    from gas_cli.run import run

    small = [
        "dataset.num_nodes=400",
        "dataset.average_degree=6",
        "partitioner.num_parts=8",
        "trainer.batch_parts=4",
        "model.hidden_channels=8",
    ]
    config = compose_config([f"experiment={experiment}", *small, "trainer.epochs=2", "partitioner.cache=null", "device=cpu"])
    summary = run(config, tmp_path)
    assert summary["status"] == "finished" and math.isfinite(summary["val"])
