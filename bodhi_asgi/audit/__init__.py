"""The audit trail: who changed or was refused what, append-only, each row bound to the one before."""
