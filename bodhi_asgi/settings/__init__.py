"""Settings: one schema, where each value came from, and refusals that name the field."""
