"""A cache with bounds: what is asked often is computed once, and forgotten in time."""
