"""The `method` stage: how a training step sees the graph. One method, one file."""
