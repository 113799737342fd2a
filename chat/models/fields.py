"""Column types of which Django has no ready one."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    CharField = models.CharField
else:

    class CharField(models.CharField):
        """Takes the type parameters that only django-stubs' CharField has."""

        def __class_getitem__(cls, _: object) -> type:
            return cls


class CodePointField[SetType, GetType](CharField[SetType, GetType]):
    """A CharField that compares and sorts by code point on every database.

    SQLite does so by itself; PostgreSQL only under the C collation. Names, keys and ULIDs need
    it: `after=<id>` must mean the same order everywhere (protocol.md section 2).
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, str | None]:
        parameters = super().db_parameters(connection)
        return parameters | {"collation": "C"} if connection.vendor == "postgresql" else parameters
