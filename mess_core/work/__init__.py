"""Work: what each kind of job does, and the process that does it."""
