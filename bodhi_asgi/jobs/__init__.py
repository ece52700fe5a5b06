"""Durable work: what is to be done stands in the database, and each piece has one worker at a time."""
