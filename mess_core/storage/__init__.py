"""Storage: the database, its queue of jobs, sealed files, arrays, and the one door for files from elsewhere."""
