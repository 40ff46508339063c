"""A dataset of your own: Zachary's karate club, which NetworkX holds, as `dataset=karate`.

    python examples/own_dataset.py

Other programs find the graph by its name once this file is imported; a package registers it for the commands (docs/own-graph.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import gas_cli
import networkx as nx
import numpy as np


@dataclass
class KarateConfig(gas_cli.DatasetConfig):
    """Settings of the dataset, on top of those that all have: `dataset.train_share=0.5`."""

    train_share: float = 0.3


@gas_cli.register_dataset("karate", settings=KarateConfig)
def karate(config: KarateConfig) -> gas_cli.Graph:
    """34 members, joined by 78 friendships; the club that each of them chose is to be predicted."""
    club = nx.karate_club_graph()
    order = np.random.default_rng(0).permutation(len(club))
    num_train = round(config.train_share * len(club))
    for place, member in enumerate(order.tolist()):
        club.nodes[member]["x"] = np.eye(len(club))[member]
        club.nodes[member]["split"] = "train" if place < num_train else "val" if place < num_train + 6 else "test"
    return gas_cli.Graph.from_networkx(club, y="club", name="karate")  # edges carry `weight`, which GCN reads


def main(folder: str = "runs/karate", *settings: str) -> gas_cli.Run:
    return gas_cli.train(["dataset=karate", "partitioner.num_parts=4", "trainer.batch_parts=2", "trainer.epochs=60", *settings], folder)


if __name__ == "__main__":
    run = main()
    print(run)
    print(run.predict([0, 33]).labels)
