"""The `graph` stage: from a dataset's name to a validated `Graph` in memory."""
