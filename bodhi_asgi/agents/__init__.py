"""Agents: a model that uses the host's own Python functions as tools, in a loop with limits that a person can pause."""
