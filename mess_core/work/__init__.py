"""Work: one file per kind of job, a typed request that can be queued and run; which follows which is in `kinds.py`."""
