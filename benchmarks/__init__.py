"""What the house costs and gains, each figure beside a peer's that was measured in the same run.

``python -m benchmarks`` runs the quick form of all of them, ``--full`` the one that ``docs/benchmarks.md`` tells of.
"""
