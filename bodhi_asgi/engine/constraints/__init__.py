"""Answers that keep to a form: what a client may ask for, within which limits, and the matcher that enforces it."""
