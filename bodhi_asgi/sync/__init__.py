"""The verbs for code that is not asynchronous: scripts, WSGI, workers. They are made from the asynchronous ones."""
