"""One data folder, opened: what needs its catalogue and its files together. Start with `workspace.py`."""
