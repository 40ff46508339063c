"""Three methods on one graph, and a picture of how they learn (pip install 'gas-cli[plots]').

    python examples/plot_training.py

A run gives back what it has written: settings, metrics by epoch, summary, predictions.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import gas_cli
from matplotlib import pyplot as plt

METHODS = ("gas", "full_batch", "cluster_gcn")


def main(folder: str = "runs/methods", *settings: str) -> Path:
    """Train in `folder`; the picture in it."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for method in METHODS:
        run = gas_cli.train([f"method={method}", "dataset.num_nodes=2000", "trainer.epochs=40", *settings], Path(folder) / method)
        print(run)
        evaluated = [record for record in run.metrics if record.get("val") is not None]
        axes.plot([record["epoch"] for record in evaluated], [record["val"] for record in evaluated], label=method)
    axes.set(xlabel="epoch", ylabel="validation accuracy", title="A GCN on a generated graph")
    axes.legend()
    picture = Path(folder) / "methods.png"
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    return picture


if __name__ == "__main__":
    print(f"Written: {main()}")
