"""What a similarity is worth: what it finds, beside chance, and which tracks come up too often."""
