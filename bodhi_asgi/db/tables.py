"""The one ``MetaData`` of all our tables, and the rule they share: no default on the Python side.

``databases`` does not apply such defaults and would store NULL; every value is given explicitly.
"""

from typing import Final

from sqlalchemy import MetaData

metadata: Final = MetaData()
"""Every family adds its tables; names begin with ``bodhi_``, so that they can live in the host's own database."""
