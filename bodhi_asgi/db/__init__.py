"""The database: one contract over SQLite and PostgreSQL, and the migrations."""
