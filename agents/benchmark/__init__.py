"""The learning benchmark: protocols, methods, and the cells that each method with each seed fills."""
