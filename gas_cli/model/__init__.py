"""The `model` stage: architectures as layers, which know nothing of histories, streams or clusters."""
