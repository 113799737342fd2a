"""`manage.py runserver`: daphne's, for working on the code.

Here, and not by daphne among INSTALLED_APPS: that would load Twisted into every process, a third of
the time that `serve` takes to start.
"""

from daphne.management.commands.runserver import Command

__all__ = ["Command"]
