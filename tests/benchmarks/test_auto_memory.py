"""What is compared with the estimate is a step of the size that the estimate is for."""

from __future__ import annotations

import pytest

from benchmarks import auto_memory
from benchmarks.lib.cases import MODELS


@pytest.mark.parametrize("parts", [1, 4])
def test_the_estimate_is_that_of_so_many_steps_and_the_peak_holds_the_data(parts: int) -> None:
    settings = [*auto_memory.GRAPH, *MODELS["gcn"], "dataset.num_nodes=2000", "partitioner=range", "partitioner.cache=null"]
    done = auto_memory.work({"settings": [*settings, f"partitioner.num_parts={parts}"]})
    more = auto_memory.work({"settings": [*settings, f"partitioner.num_parts={parts}", "model.hidden_channels=512"]})
    assert more["estimate"] > done["estimate"] > 512 << 20 and done["peak"] > 2000 * 400
    table = auto_memory.table({"rows": [{"model": "gcn", "nodes": 2000, "parts": parts, **done}]})
    assert f"| gcn | 2,000 | {parts} | {done['estimate'] / 2**20:,.0f} | " in table
