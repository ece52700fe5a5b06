"""What a WSGI server runs. Everything works, but an answer comes at once and not word by word."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "library.settings")
application = get_wsgi_application()
