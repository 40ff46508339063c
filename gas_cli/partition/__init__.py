"""The `partition` stage: from a `Graph` to clusters of nodes, cached on disk."""
