"""Counting no further than is worth it: a channel may hold millions."""

from typing import Any, Final, cast

from django.db.models import IntegerField, Model, QuerySet, Subquery, Value

LISTED: Final = 1_000  # a hundred such counts are on one page of a list
CAP: Final = 10_000


class CappedCount(Subquery):
    """How many rows a query finds, counted no further than one above `cap`."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()

    def __init__(self, rows: QuerySet[Any], cap: int) -> None:
        super().__init__(rows.order_by().values("pk")[: cap + 1])


def counted[M: Model](rows: QuerySet[M], cap: int, **found: QuerySet[Any]) -> QuerySet[M]:
    """Each row with how many of `found` it has, by name, and with the `cap` of these counts."""
    counts = {name: CappedCount(of, cap) for name, of in found.items()}
    return cast("QuerySet[M]", rows.annotate(cap=Value(cap), **counts))
