"""What all lists share: they are read-only, paged by key and filtered by a form.

Django's own list counts the table, sorts by any column and filters by any lookup in the address,
such as `secret_hash__startswith`. This one refuses what its form has no field for.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, cast

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, ActionForm
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters, ShowFacets
from django.contrib.admin.utils import label_for_field, model_ngettext
from django.contrib.admin.views.main import IGNORED_PARAMS, ChangeList
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.functions import Left, Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext

from chat.models import (
    AuditEntry,
    Connection,
    Member,
    Message,
    Reaction,
    Schedule,
    StorageEntry,
    Subscription,
)
from chat.store.databases import apart, atomic
from chat.store.operations.audit import MAX_ADDRESS, MAX_NAME, Actor

from . import render
from .compat import action
from .paging import Cursor, Filters, Page, read_page

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
else:

    class ModelAdmin(admin.ModelAdmin):
        """Takes the model as a parameter, which Django's class does only in its stubs."""

        __class_getitem__ = classmethod(lambda cls, model: cls)


type UserRow = Connection | Member | Message | Reaction | StorageEntry
type ChannelRow = Member | Message | Reaction | Schedule | StorageEntry | Subscription

CURSORS: Final = ("older", "newer")
CHECKBOX: Final = "action_checkbox"  # Django's name of a column
BOX: Final = (
    '<td class="action-checkbox"><input type="checkbox" class="action-select"'
    f' name="{ACTION_CHECKBOX_NAME}" value="{{}}" aria-label="{{}}"></td>'
)


def _atomic[**P, R](act: Callable[P, R]) -> Callable[P, R]:
    @wraps(act)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic(), atomic() if apart() else nullcontext():
            return act(*args, **kwargs)

    return wrapped


def row_action[F: Callable[..., object]](
    description: str, permission: str = "action"
) -> Callable[[F], F]:
    """An action in a list and on the page of a row, for users with the list's `action_permission`
    or another of its own; `description` has "{}" in place of the rows."""
    return action(
        description.format("this %(verbose_name)s"),
        description.format("selected %(verbose_name_plural)s"),
        permission,
    )


@dataclass(frozen=True)
class Column[R]:
    """A column of a list or field of a page that one expression renders.

    A column that takes statements is a method with `admin.display`.
    """

    short_description: str
    render: Callable[[R], str]

    def __call__(self, row: R) -> str:
        return self.render(row)


def actor_of(request: HttpRequest) -> Actor:
    """Who acts, as the audit log names it."""
    name = f"admin {request.user.get_username()}"[:MAX_NAME]
    return Actor(name, (request.META.get("REMOTE_ADDR") or "")[:MAX_ADDRESS])


def now(row: Model) -> datetime:
    """The database's time when the row was read: its times are the database's."""
    return cast(datetime, vars(row)["now"])


class KeysetChangeList(ChangeList):
    """One page of a list, which knows its neighbours instead of their numbers."""

    model_admin: "ReadOnlyAdmin[Model]"
    filters: Filters[Model]
    cursor: Cursor
    page: Page[Model]
    way_back: str  # to this list, in the address of a row's page

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: object = None
    ) -> QuerySet[Model]:
        """All rows: an action applies to the selected ones, whatever the filters."""
        back = self.model_admin.get_preserved_filters(request)
        self.way_back = f"?{back}" if back else ""
        self.filters = self.model_admin.filters(request.GET)
        newer = request.GET.get("newer")
        self.cursor = Cursor(newer or request.GET.get("older", ""), back=bool(newer))
        if self.params.keys() - {*self.filters.fields, *CURSORS, *IGNORED_PARAMS}:
            raise IncorrectLookupParameters
        given = self.params.items()
        self.params = {name: value for name, value in given if value and name not in CURSORS}
        self.filter_params = {name: [value] for name, value in self.params.items()}
        fields = self.filters.visible_fields()
        self.has_filters = bool(fields)
        self.has_active_filters = any(field.data for field in fields)
        return self.root_queryset

    def get_results(self, request: HttpRequest) -> None:
        rows = self.model_admin.columns_of(self.root_queryset)
        self.page = read_page(self.filters.scans(rows), self.cursor, self.list_per_page)
        self.result_list = self.page.rows
        self.model_admin.complete(self.result_list)
        self.result_count = self.full_result_count = len(self.result_list)
        self.show_admin_actions = bool(self.result_list)
        self.multi_page, self.can_show_all = False, True

    # --- the table --------------------------------------------------------------------------

    @property
    def has_boxes(self) -> bool:
        """Whether rows can be selected."""
        return CHECKBOX in self.list_display

    @property
    def headings(self) -> list[tuple[str, object]]:
        """The name and the label of each column."""
        label = partial(label_for_field, model=self.model, model_admin=self.model_admin)
        return [(name, label(name)) for name in self._columns]

    @property
    def rows(self) -> SafeString:
        """As HTML: a link to each row's page, and its other columns. Django's tag `result_list`
        asks of each cell again what its column is, and takes three times as long."""
        first, *others = self._columns
        cells = "".join(f'<td class="field-{name}">{{}}</td>' for name in others)
        linked = f'<th class="field-{first}"><a href="{{}}">{{}}</a></th>'
        box = BOX if self.has_boxes else ""
        return format_html_join("\n", f"<tr>{box}{linked}{cells}</tr>", self._values())

    @property
    def _columns(self) -> list[str]:
        return [str(name) for name in self.list_display if name != CHECKBOX]

    def _values(self) -> Iterator[list[object]]:
        """What each row shows, as `rows` has it."""
        admin, model = self.model_admin, str(self.opts.model_name)
        columns = [getattr(admin, name, None) or attrgetter(name) for name in self._columns]
        label = gettext("Select this object for an action - {}")
        for row in self.result_list:
            box = [row.pk, label.format(row)] if self.has_boxes else []
            address = f"{render.page_address(model, row.pk)}{self.way_back}"
            values = [column(row) for column in columns]
            yield [*box, address, *(render.EMPTY if it in {None, ""} else it for it in values)]


class SelectedOnlyForm(ActionForm):
    """Applies to the selected rows, at most a page: "all" could be a table of any length."""

    def clean_select_across(self) -> bool:
        return False


class ReadOnlyAdmin[M: Model](ModelAdmin[M]):
    """Shows rows and changes none. Subclasses name their form in `filters`."""

    filters: type[Filters[M]] = Filters
    action_permission: ClassVar[str]
    action_form = SelectedOnlyForm
    empty_value_display = render.EMPTY
    show_facets = ShowFacets.NEVER
    sortable_by = ()

    class Media:
        css = {"all": ("chat/admin/admin.css",)}  # noqa: RUF012

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        """The rows with the database's time, see `now`."""
        return cast(QuerySet[M], super().get_queryset(request).annotate(now=Now()))

    def columns_of(self, rows: QuerySet[M]) -> QuerySet[M]:
        """The rows with what a list shows of them and no more."""
        return rows

    def complete(self, rows: Sequence[M]) -> None:
        """Adds to a page's rows what takes a query for all of them."""

    def get_changelist(self, request: HttpRequest, **kwargs: object) -> type[ChangeList]:
        return KeysetChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """Refuses actions to users who have none; Django would show the list again."""
        if request.method == "POST" and not self.get_actions(request):
            raise PermissionDenied
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    # An action and its log entries are one transaction, or two where the chat's rows are in a
    # database of their own: Django's log is in the default one.
    response_action = _atomic(ModelAdmin.response_action)

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    has_add_permission = has_delete_permission = has_change_permission

    def has_action_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.action_permission)

    def describe(self, row: M) -> str:
        """How the log names a row."""
        return str(row)

    def log(
        self, request: HttpRequest, rows: Sequence[M], flag: int, message: str = "", act: str = ""
    ) -> list[LogEntry]:
        """Adds an entry for each row to the admin's log, where `flag` is one of LogEntry's, and to
        the audit log where `act` is the name of what was done."""
        if act:
            self._record(request, act, rows)
        return LogEntry.objects.bulk_create(
            LogEntry(
                user_id=cast(int, request.user.pk),
                content_type=ContentType.objects.get_for_model(row),
                object_id=row.pk,
                object_repr=self.describe(row)[:200],
                action_flag=flag,
                change_message=message,
            )
            for row in rows
        )

    def _record(self, request: HttpRequest, act: str, rows: Sequence[M]) -> None:
        actor, kind = actor_of(request), str(self.opts.verbose_name)
        AuditEntry.objects.bulk_create(
            AuditEntry(
                **{"at": Now(), "actor": actor.name, "address": actor.address, "action": act},
                **{"uid": uid, "channel": channel},
                detail=json.dumps({kind: str(row)}),
            )
            for row in rows
            for uid, channel in [self.subject(row)]
        )

    def subject(self, row: M) -> tuple[str | None, str]:
        """To whom an act is done, and in which channel; "": in none."""
        return None, ""

    def counted(self, rows: Sequence[M]) -> str:
        """Such as "2 connections"."""
        return f"{len(rows)} {model_ngettext(self.opts, len(rows))}"

    # --- columns of several models ----------------------------------------------------------

    user = Column[UserRow]("uid", lambda row: render.sender(row.uid))
    holdings = Column[UserRow]("quotas of the uid", lambda row: render.person_link(row.uid))
    metadata = Column[UserRow]("metadata (umd)", lambda row: render.json(row.umd))


class ChannelRowAdmin[M: ChannelRow](ReadOnlyAdmin[M]):
    """Rows that channels hold."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        return super().get_queryset(request).select_related("channel")

    @admin.display(description="channel")
    def channel_name(self, row: ChannelRow) -> str:
        name = row.channel.name
        return render.list_link(name, str(self.opts.model_name), channel=name)

    channel_page = Column[ChannelRow](
        "channel", lambda row: render.page_link(row.channel.name, "channel", row.channel_id)
    )


class HasBeginning(Protocol):
    """A row of a list, with the beginning of its data only."""

    beginning: str


class ContentAdmin[M: Message | StorageEntry](ChannelRowAdmin[M]):
    """What users or the server wrote in channels; a moderator may delete it.

    Subclasses delete the rows, and `describe` them without what they say, which may be the reason.
    """

    def columns_of(self, rows: QuerySet[M]) -> QuerySet[M]:
        begins = Left("data", render.EXCERPT_READ)
        return cast(QuerySet[M], rows.defer("data", "umd").annotate(beginning=begins))

    sender = Column[M]("uid", lambda row: render.sender(row.uid, row.by_server))
    excerpt = Column[HasBeginning]("data", lambda row: render.excerpt(row.beginning))
    content = Column[M]("data", lambda row: render.json(row.data))
    expiry = Column[M]("expires", lambda row: render.remaining(row.expires_at, now(row)))
    expiry_time = Column[M](
        "expires",
        lambda row: render.expiry(row.expires_at, now(row)) if row.data else "cleared",
    )

    # --- deleting ---------------------------------------------------------------------------

    deletes: ClassVar[str] = ""
    """How the audit log names it; "": whoever deletes says so there."""

    def delete_queryset(self, request: HttpRequest, queryset: Iterable[M]) -> None:
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: M) -> None:
        self.delete_queryset(request, [obj])

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return super(ReadOnlyAdmin, self).has_delete_permission(request, obj)

    def get_deleted_objects(
        self, objs: Sequence[M] | QuerySet[M], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What a confirmation says: a line for each row, and how many there are."""
        lines = [f"{self.describe(row)}: {render.one_line(row.data)}" for row in objs]
        return lines, {str(self.opts.verbose_name_plural): len(lines)}, set(), []

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[M]) -> list[LogEntry]:
        return self.log(request, list(queryset), DELETION, act=self.deletes)

    def subject(self, row: M) -> tuple[str | None, str]:
        return row.uid, row.channel.name

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Back to the list: Django sends users who may not change rows to the front page."""
        super().response_delete(request, obj_display, obj_id)
        filters = QueryDict(request.GET.get("_changelist_filters"))
        address = reverse(f"admin:chat_{self.opts.model_name}_changelist", query=filters)
        return HttpResponseRedirect(address)
