"""Engines: what keeps the rows of a library and finds the nearest of them; FAISS here, or a database."""
