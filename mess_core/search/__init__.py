"""Search: which recordings of a library are nearest to a query, in what respect, and how near is that."""
