"""The `prepared` stage: the permuted, normalised graph that all runs of one configuration share."""
