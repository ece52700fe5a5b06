"""Meters: what is counted, declared in one place, and its text for Prometheus."""
