"""`gas-predict`: class probabilities from a finished run, or its model for PyG. See `gas-predict --help`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gas_cli
from gas_cli.cli.environment import prepare_process
from gas_cli.cli.exits import exit_code
from gas_cli.cli.help import EXIT_CODES, settings_help
from gas_cli.cli.notes import logged_as_notes
from gas_cli.config.checks import require
from gas_cli.config.compose import parse_settings
from gas_cli.config.root import DEVICES
from gas_cli.config.setting import setting
from gas_cli.config.training import CHECKPOINTS, EVALUATION_MODES
from gas_cli.errors import UserError

HELP = """\
gas-predict: class probabilities of a trained model, or the model for plain PyG

usage: gas-predict run=RUN_DIR [SETTING=VALUE ...]

settings and their defaults
{settings}

other data
  dataset.path=DIR, or any other setting of the run's dataset, predicts on another graph with the
  same columns. Labels and splits of a folder are not read. dataset=NAME takes another dataset.

examples
  gas-predict run=runs/cora-gcn mode=exact out=predictions.csv
  gas-predict run=runs/cora-gcn dataset.path=new_nodes out=predictions.csv
  gas-predict run=runs/cora-gcn what=embeddings layer=1 out=embeddings.parquet
  gas-predict run=runs/cora-gcn export=model.pt

{exit_codes}"""


DATA = ("dataset=", "dataset.")
WHAT = ("classes", "embeddings")


@dataclass
class PredictConfig:
    """The settings of `gas-predict`; `nodes` empty means all nodes."""

    run: str = setting("", "Folder of a run of gas-train.")
    what: str = setting("classes", "`classes`: class and probabilities; `embeddings`: what a layer gives.", WHAT)
    layer: int | None = setting(None, "With `what=embeddings`: the layer, from 1; `null` takes the last but one.")
    mode: str = setting("exact", "`exact`: recompute all layers; `history`: the last one, on histories.", EVALUATION_MODES)
    out: str = setting("predictions.npz", "File to write: .csv or .parquet, a row per node with its id, class and probabilities; or .npz.")
    top: int | None = setting(None, "Only this many classes of each node, the most likely first (.csv, .parquet).")
    nodes: str = setting("", ".npy or .txt file of node ids; all nodes without it.")
    checkpoint: str = setting("best", "`best` by the validation metric, or `last`.", CHECKPOINTS)
    device: str = setting("auto", "Where to compute; `auto` takes CUDA where there is one.", DEVICES)
    export: str = setting("", "Write the weights and settings for plain PyG to this .pt file, and predict nothing; no graph is read.")

    def __post_init__(self) -> None:
        if not self.run:
            raise UserError("run=RUN_DIR is missing: expected the folder of a run of gas-train.")
        require((Path(self.run) / "config.yaml").is_file(), "run", self.run, "the folder of a run, with config.yaml in it")
        require(self.mode in EVALUATION_MODES, "mode", self.mode, "one of " + ", ".join(EVALUATION_MODES))
        require(self.checkpoint in CHECKPOINTS, "checkpoint", self.checkpoint, "one of " + ", ".join(CHECKPOINTS))
        require(self.device in DEVICES, "device", self.device, "one of " + ", ".join(DEVICES))
        require(not self.nodes or Path(self.nodes).is_file(), "nodes", self.nodes, "an .npy or .txt file of node ids")
        form = Path(self.out).suffix
        require(form in (".npz", ".csv", ".parquet"), "out", self.out, "a file name that ends in .csv, .parquet or .npz")
        require(self.top is None or self.top >= 1, "top", self.top, "a number of classes from 1")
        require(self.top is None or form != ".npz", "top", self.top, "out=FILE.csv or out=FILE.parquet with it")
        require(self.what in WHAT, "what", self.what, "one of " + ", ".join(WHAT))
        if self.what == "embeddings":
            require(self.mode == "exact", "mode", self.mode, "exact, with what=embeddings")
            require(self.top is None, "top", self.top, "no such setting with what=embeddings, which has no classes")
        else:
            require(self.layer is None, "layer", self.layer, "what=embeddings with it")
        if self.export:
            self._check_export()

    def _check_export(self) -> None:
        require(Path(self.export).suffix == ".pt", "export", self.export, "a file name that ends in .pt")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("run", "checkpoint", "export") and value != field.default:
                raise UserError(f"{field.name}={value} is not valid with export={self.export}, which predicts nothing. Leave one out.")


def main() -> None:
    """The console script."""
    prepare_process()
    sys.exit(command_line(sys.argv[1:]))


def command_line(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    return exit_code("gas-predict", lambda: _run(list(argv)))


def predict_help() -> str:
    """The text of `gas-predict --help`."""
    return HELP.format(settings=settings_help(PredictConfig), exit_codes=EXIT_CODES)


def _run(argv: list[str]) -> None:
    if "--help" in argv or "-h" in argv:
        print(predict_help())
        return
    if "--version" in argv:
        print(f"gas-predict {gas_cli.__version__}")
        return
    data = [argument for argument in argv if argument.startswith(DATA)]
    settings = parse_settings(PredictConfig, [argument for argument in argv if argument not in data])
    if settings.export:
        if data:
            raise UserError(f"{data[0]} is not valid with export={settings.export}, which reads no graph. Leave one out.")
        _export(settings)
        return
    _check_writable("out", Path(settings.out))
    print(f"Wrote {_predicted(settings, data)}")


def _predicted(settings: PredictConfig, data: list[str]) -> Path:
    """Predict, or compute embeddings, and write the file."""
    from gas_cli.prediction import embed, predict, read_nodes

    nodes = read_nodes(Path(settings.nodes)) if settings.nodes else None
    shared: dict[str, Any] = {"checkpoint": settings.checkpoint, "device": settings.device, "settings": data}
    with logged_as_notes():
        if settings.what == "embeddings":
            found = embed(Path(settings.run), nodes, layer=settings.layer, **shared, source=f"nodes={settings.nodes}")
            return found.save(settings.out)
        classes = predict(Path(settings.run), nodes, mode=settings.mode, **shared, source=f"nodes={settings.nodes}")
        return classes.save(settings.out, settings.top)


def _export(settings: PredictConfig) -> None:
    _check_writable("export", Path(settings.export))
    from gas_cli.export import export_model

    print(f"Wrote {export_model(Path(settings.run), Path(settings.export), settings.checkpoint)}")


def _check_writable(setting: str, out: Path) -> None:
    """Before minutes of computing, not after. Raises UserError."""
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    usable = folder.is_dir() and os.access(folder, os.W_OK) and not out.is_dir()
    require(usable, setting, out, f"a path that can be written: {'it' if out.is_dir() else folder} is {_why_not(folder, out)}")


def _why_not(folder: Path, out: Path) -> str:
    return "a folder" if out.is_dir() else "not a folder" if not folder.is_dir() else "not writable"
