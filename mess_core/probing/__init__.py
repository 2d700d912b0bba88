"""Which layer carries which property: ridge probes with honest folds, nulls and intervals. Start with `probe.py`."""
