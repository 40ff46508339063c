"""The `passes` stage: a model over a batch or over all nodes, and what is made of its scores."""
