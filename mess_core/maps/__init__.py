"""Maps: a library on a sheet of paper, layer by layer, and how far to trust what is seen there."""
