"""GNNAutoScale (Fey et al., ICML 2021) in one page of plain PyTorch: what `gas-train model=gcn` computes, without what makes it fast.

    python examples/gas_in_one_page.py

A GCN of L layers, h^{l+1} = ReLU(Â h^l W_l + b_l), trains in mini-batches of parts. No edge is dropped: for a neighbour outside the part,
the halo, a layer reads the embedding of the last step that computed it, its history. N nodes, C channels, L layers.
"""

import torch
import torch.nn.functional as F


def normalized(edge_index, num_nodes):
    """Â = D^-1/2 (A + I) D^-1/2 as a sparse matrix [N, N]; row v holds the messages that v receives. edge_index [2, E]: source, target."""
    loops = torch.arange(num_nodes)
    source, target = torch.cat([edge_index, torch.stack([loops, loops])], 1)
    scale = torch.bincount(target, minlength=num_nodes).float().rsqrt()
    values = scale[target] * scale[source]
    return torch.sparse_coo_tensor(torch.stack([target, source]), values, (num_nodes, num_nodes), check_invariants=False).coalesce()


def layer(weights, index, inner, h, outer=None, halo=None):
    """Layer `index` for B nodes: inner [B, B] h [B, C], and outer [B, H] halo [H, C] for the neighbours outside."""
    weight, bias = weights[index]
    out = inner @ (h @ weight) + bias
    if halo is not None:
        out = out + outer @ (halo @ weight)
    return out if index == len(weights) - 1 else out.relu()


def exact(weights, adj, x):
    """The inputs of all layers and the scores, h^0 to h^L, for all nodes."""
    rows = [x]
    for index in range(len(weights)):
        rows.append(layer(weights, index, adj, rows[-1]))
    return rows


def blocks(adj, part):
    """For each part: its nodes, their halo, and the rows of Â for both."""
    for number in range(int(part.max()) + 1):
        nodes = (part == number).nonzero().view(-1)
        rows = adj.index_select(0, nodes).coalesce()
        reached = rows.indices()[1].unique()
        halo = reached[part[reached] != number]
        yield nodes, halo, rows.index_select(1, nodes), rows.index_select(1, halo)


def step(weights, history, x, batch):
    """Scores [B, C] of a part's nodes; their new embeddings go into the histories [N, C] of layers 1 to L-1."""
    nodes, halo, inner, outer = batch
    h = layer(weights, 0, inner, x[nodes], outer, x[halo])  # features are never stale
    for index in range(1, len(weights)):
        history[index][nodes] = h.detach()  # push
        h = layer(weights, index, inner, h, outer, history[index][halo])  # pull; histories take no gradient
    return h


def train(adj, x, y, train_mask, part, weights, epochs, lr=0.01):
    """The mean loss of each epoch; `weights` [(W_l, b_l)] are updated in place. y [N] classes, part [N] from 0 on."""
    optimizer = torch.optim.Adam([tensor for pair in weights for tensor in pair], lr=lr)
    batches = list(blocks(adj, part))
    with torch.no_grad():
        history = exact(weights, adj, x)  # entry l: the input of layer l
    losses = []
    for _ in range(epochs):
        total = 0.0
        for batch in batches:
            nodes = batch[0]
            scores = step(weights, history, x, batch)
            own = train_mask[nodes]
            share = own.sum() / train_mask.sum() * len(batches)  # the mean over the batches is the loss of full batch
            loss = F.cross_entropy(scores[own], y[nodes][own]) * share if own.any() else scores.sum() * 0
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(batches))
    return losses


if __name__ == "__main__":
    torch.manual_seed(0)
    y = torch.randint(0, 4, (1000,))
    source, target = torch.randint(0, 1000, (2, 20000))
    near = (y[source] == y[target]) & (source != target)  # friends of one's class
    edges = torch.stack([source[near], target[near]]).unique(dim=1)
    x, mask = F.one_hot(y, 4) + 2 * torch.randn(1000, 4), torch.arange(1000) < 200
    adj, part = normalized(edges, 1000), torch.arange(1000) // 100
    weights = [(torch.randn(a, b).div(a**0.5).requires_grad_(), torch.zeros(b, requires_grad=True)) for a, b in [(4, 16), (16, 4)]]
    print("loss of the last epoch:", train(adj, x, y, mask, part, weights, epochs=50)[-1])
    print("test accuracy:", (exact(weights, adj, x)[-1].argmax(1) == y)[~mask].float().mean().item())
