"""What every test stands on: a quiet OpenMP, fresh directories, and the check that nothing is left behind."""

import os

# Two spinning OpenMP threads on two busy cores are hundreds of times slower than one that sleeps; read at first import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
