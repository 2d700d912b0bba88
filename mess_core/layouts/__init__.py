"""Layouts: many dimensions on a sheet of paper, and how far to trust what is seen there."""
