"""The catalogue: tracks and what is known of them, scores, opinions. Truth, in one SQLite file."""
