"""Collections: what lies in a folder, read by names and tables alone; one file per published data set."""
