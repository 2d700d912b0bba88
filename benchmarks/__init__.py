"""One script per figure, each with its baseline and the machine's own limit: `python -m benchmarks.NAME`."""
