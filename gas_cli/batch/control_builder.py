"""Batches of VR-GCN: samples of neighbours, and what histories say of the messages that were not drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Block, Control, Rows
from gas_cli.batch.data import GraphData
from gas_cli.batch.remainder import Remainder
from gas_cli.batch.sample import ALL
from gas_cli.batch.sampling_builder import Drawn, SamplingBuilder
from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import row_ids


class ControlBuilder(SamplingBuilder):
    """As `SamplingBuilder`, but layer 0 reads all neighbours, or A x where the data has `sums`, and each other layer has a `Control`.

    `others[l - 1]` neighbours are drawn in layer l. `own` says whether layer 0 reads the targets' own features beside A x. With `noisy`
    the blocks have the weights for rows with dropout, and the controls' blocks those of the sample.
    """

    def __init__(self, data: GraphData, seeds: Tensor, others: list[int], own: bool, noisy: bool, seed: int) -> None:
        super().__init__(data, seeds, others if data.sums is not None else [ALL, *others], False, seed)
        self.own, self.noisy = own, noisy
        self._remainder = Remainder(data.adj)

    def assembled(self, visits: list[int], seeds: Tensor, layers: list[Drawn], inputs: bool) -> Batch:
        blocks, x = [], Rows(self._features(seeds[:0]), self._features(seeds[:0]))
        if self.data.sums is None:
            (targets, cut), *layers = layers
            blocks = [self._block(torch.from_numpy(targets), cut)]
            if inputs:
                x = self._inputs(torch.from_numpy(targets), cut.halo)
        else:
            nodes = _computed(layers[0]) if layers else seeds
            blocks = [self._without_messages(nodes)]
            if inputs:
                x = Rows(self._features(nodes if self.own else nodes[:0]), self._features(nodes[:0]), self.data.sums[nodes])
        controls: list[Control | None] = [None]
        for layer in layers:
            block, control = self._controlled(layer)
            blocks.append(block)
            controls.append(control)
        return self._batch(visits, seeds, blocks, x, tuple(controls))

    def _controlled(self, layer: Drawn) -> tuple[Block, Control]:
        targets, cut = layer
        drawn = self._block(torch.from_numpy(targets), cut)
        drawn.inner.transpose()  # here and not in the backward pass, which would wait for it
        drawn.outer.transpose()
        rest, sources = self._remainder(targets, cut)
        control = Control(_computed(layer), sources, rest, drawn if self.noisy else None)
        return (self._for_noise(torch.from_numpy(targets), drawn) if self.noisy else drawn), control

    def _for_noise(self, targets: Tensor, drawn: Block) -> Block:
        """The block in whose forward products the weights P m/k of k drawn among m neighbours are P √(m/k), and P for a self-loop: the sum
        of independent noise then has the variance of all m neighbours'."""
        rowptr, inner, outer = self.data.adj.rowptr, drawn.inner, drawn.outer
        rows = row_ids(inner.rowptr, inner.nnz)
        loops = inner.col == rows  # targets come first, in the order of the rows
        looped = torch.zeros(inner.num_rows, dtype=torch.int64).index_add_(0, rows, loops.long())
        stay = inner.rowptr.diff() + outer.rowptr.diff() - looped
        others = rowptr[targets + 1] - rowptr[targets] - looped
        factor = (stay / others.clamp(min=1)).sqrt()
        kept = inner.value * torch.where(loops, 1.0, factor[rows])
        far = outer.value * factor[row_ids(outer.rowptr, outer.nnz)]
        return Block(inner.with_forward(kept), outer.with_forward(far), drawn.target_ids, drawn.halo_ids, drawn.halo, drawn.edge_attr)

    def _without_messages(self, nodes: Tensor) -> Block:
        ids, size = self.data.node_ids, nodes.numel()
        inner, outer = (CSR.empty(size, columns, nodes.device) for columns in (size, 0))
        return Block(inner, outer, ids[nodes], ids[:0], nodes[:0])


def _computed(layer: Drawn) -> Tensor:
    """int64 [T + H]: the positions of a layer's targets and halo, which the layer below computes."""
    targets, cut = layer
    return torch.cat([torch.from_numpy(targets), cut.halo])
