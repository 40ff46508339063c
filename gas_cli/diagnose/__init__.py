"""The `diagnose` stage: how far histories, mini-batches and gradients are from the exact ones."""
