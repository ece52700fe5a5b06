"""``manage.py`` commands: each one calls a verb as the machine's own administrator, and prints what it answers."""
