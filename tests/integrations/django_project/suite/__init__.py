"""The project's own tests, as Django runs them: ``manage.py test``, in one process, with Django's own clients."""
