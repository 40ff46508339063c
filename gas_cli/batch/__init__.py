"""The `batch` stage: from a permuted graph and part ids to everything one training step reads."""
