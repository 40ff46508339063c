"""The `train` stage: drivers of a model, the loop, evaluation, checkpoints."""
