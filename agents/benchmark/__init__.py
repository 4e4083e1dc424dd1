"""The learning benchmark: protocols, methods, and a cell of results for each method with each seed."""
