"""The command line: verbs, tables of results, doctor, tracking."""
