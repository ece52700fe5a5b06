"""What could keep a server from working here, looked at for real: machine, installation, settings, an engine.

``bodhi doctor`` prints it, and a host asks with :func:`bodhi_asgi.doctor.examination.diagnose`. One module per check,
each independent of the others; nothing is changed, and what a check makes for itself is gone when it ends.
"""
