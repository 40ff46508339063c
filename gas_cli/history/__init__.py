"""The `history` stage: storage of historical embeddings, and the exchange between layers and storage."""
