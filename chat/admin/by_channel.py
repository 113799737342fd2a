"""Lists of what channels hold: asked by a channel, or by how its name begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.db.models import Q, QuerySet, Subquery

from chat.models import Channel

from .filters import Filters, begins
from .paging import SCAN, UP, Key, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class ByName(Stream):
    """Rows in the order of their channels' names, and then in that of an index which begins with
    the channel. A page looks for them in SCAN `channels` at most, of which most may hold none."""

    channels: QuerySet[Channel]

    @property
    def passes_over(self) -> bool:
        return True

    def mark(self, key: Key | None, *, back: bool) -> Subquery:
        up, channels = self.ascending is not back, self.channels
        if key is not None:
            channels = channels.filter((f"name__{UP[up]}", key[0]))
        ordered = channels.order_by("name" if up else "-name")
        return Subquery(ordered.values("name")[SCAN - 1 : SCAN])


class ByChannel(Filters):
    """Subclasses say in which order a channel's rows are and all rows, and which are shown."""

    within: ClassVar[tuple[str, ...]]

    q = forms.CharField(required=False, widget=forms.HiddenInput)
    channel = forms.CharField(required=False)

    def all(self, rows: QuerySet[Any]) -> Stream:
        """The latest first."""
        return Stream(rows, rest=self.shown())

    def shown(self) -> Q:
        return Q()

    def streams(self, rows: QuerySet[Any]) -> Sequence[Stream]:
        asked, channels = self.asked(), Channel.objects.all()
        if "q" in asked:
            channels = channels.filter(begins("name", asked["q"]))
        if "channel" in asked:
            id = channels.filter(name=asked["channel"]).values_list("id", flat=True).first()
            rows = rows.filter(channel_id=id)
            return [Stream(rows, self.within, self.shown(), ascending=True)]
        if "q" not in asked:
            return [self.all(rows)]
        rows = rows.filter(begins("channel__name", asked["q"]))
        key = ("channel__name", *self.within)
        return [ByName(rows, key, self.shown(), ascending=True, channels=channels)]
