"""Embeddings: from an encoder's hidden states to what is kept of a track. Start with `store.py`."""
