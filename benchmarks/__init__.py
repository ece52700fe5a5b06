"""What the house costs and gains, each figure beside a peer's that was measured in the same run.

``python -m benchmarks`` runs the quick form of all of them, ``--full`` the one that ``docs/benchmarks.md`` tells of.
"""

import os

# What is installed has its bytecode; a contender that had to compile itself at each start would be measured for that.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
