"""What every test stands on: a quiet OpenMP, fresh directories, and the check that nothing is left behind."""

import os

# Two spinning OpenMP threads on two busy cores are hundreds of times slower than one that sleeps; read at first import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from hypothesis import HealthCheck, settings

# Two shared cores: how long a generated example takes says nothing about the code.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
