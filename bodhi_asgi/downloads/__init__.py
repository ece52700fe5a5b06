"""Models on their way from the hub to this machine: queued, fetched by one process at a time, followed by anybody."""
