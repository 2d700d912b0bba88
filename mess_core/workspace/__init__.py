"""One data folder, opened: what needs its catalogue and its files together. See `workspace.py`, then `scope.py`."""
