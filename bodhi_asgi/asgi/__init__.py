"""Our server as an ASGI application: mounted, wrapped around a host, or alone."""
