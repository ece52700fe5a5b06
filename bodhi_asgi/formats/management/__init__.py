"""The management dialect of ``/bodhi/v1``: error envelope and shapes shared by its routes."""
