"""What every test stands on: a quiet OpenMP, fresh directories, and the check that nothing is left behind."""

import os
import tempfile
from pathlib import Path

# Two spinning OpenMP threads on two busy cores are hundreds of times slower than one that sleeps; read at first import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Engine processes meet in a short private directory: the path of a socket has a limit, and /tmp stays clean.
os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="bodhi-test-")
Path(os.environ["XDG_RUNTIME_DIR"]).chmod(0o700)

from hypothesis import HealthCheck, settings

# Two shared cores: how long a generated example takes says nothing about the code.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
