"""Column types of which Django has no ready one."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    CharField = models.CharField[str, str]
else:
    CharField = models.CharField


class CodePointField(CharField):
    """A CharField that compares and sorts by code point on every database.

    SQLite does so by itself; PostgreSQL only under the C collation. Names, keys and ULIDs need
    it: `after=<id>` must mean the same order everywhere (protocol.md section 2).
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters
