"""How files are opened, in flags that every system understands: what one of them does not have is nothing there.

Windows knows no links to be refused and nothing to wait for, and would change the ends of lines on the way.
"""

import os
from typing import Final

NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
"""Refuse a name that is a link."""

NO_WAITING: Final = getattr(os, "O_NONBLOCK", 0)
"""Do not wait for somebody at the other end of a pipe."""

ONLY_FOLDER: Final = getattr(os, "O_DIRECTORY", 0)
"""Refuse a name that is no folder."""

AS_IT_IS: Final = getattr(os, "O_BINARY", 0)
"""Change nothing of what is read and written."""
