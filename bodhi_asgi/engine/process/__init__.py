"""The engine in a process of its own: election, socket and requests; for its hosts launch, connection, supervision."""
