"""A database backend for a site that names no database: whoever uses it is told so in a sentence,
which is its NAME."""

from typing import Never

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.dummy import base


class DatabaseWrapper(base.DatabaseWrapper):
    def _refuse(self, *args: object, **kwargs: object) -> Never:
        raise ImproperlyConfigured(self.settings_dict["NAME"])

    ensure_connection = _refuse
    _cursor = _refuse
    _savepoint = _refuse
