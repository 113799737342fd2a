"""What all lists of stored things share: read-only, paged by key, asked by a form.

Django's own list counts the table, sorts by what the reader clicks and filters by whatever stands
in the address, `secret_hash__startswith` too. This one does none of it: what its form has no
field for is refused.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.options import IncorrectLookupParameters, ShowFacets
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.views.main import IGNORED_PARAMS, ChangeList
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst

from .filters import Filters
from .paging import Cursor, read_page

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

CURSORS = ("older", "newer")


class KeysetChangeList(ChangeList):
    """One page of a list, with the addresses of its neighbours instead of their numbers."""

    model_admin: "ReadOnly"
    filters: Filters
    cursor: Cursor
    older_url = newer_url = newest_url = ""
    partial = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """All rows: what an action is done to is ticked, whatever the page was asked."""
        self.filters = self.model_admin.filters(request.GET)
        self.cursor = Cursor.of(request.GET)
        known = {*self.filters.fields, *IGNORED_PARAMS}
        for name in CURSORS:
            self.params.pop(name, None)
        if self.params.keys() - known:
            raise IncorrectLookupParameters
        self.params = {name: value for name, value in self.params.items() if value}
        self.filter_params = {name: [value] for name, value in self.params.items()}
        self.has_filters = bool(self.filters.visible_fields())
        self.has_active_filters = any(field.data for field in self.filters.visible_fields())
        self.clear_all_filters_qs = "?"
        return self.root_queryset

    def get_results(self, request: HttpRequest) -> None:
        rows = self.model_admin.listed(self.root_queryset)
        page = read_page(self.filters.streams(rows), self.cursor, self.list_per_page)
        self.model_admin.complete(page.rows)
        self.result_list = page.rows
        self.result_count = self.full_result_count = len(page.rows)
        self.show_full_result_count = False
        self.show_admin_actions = bool(page.rows)
        self.multi_page, self.can_show_all = False, True
        self.partial = page.partial
        self.older_url = self._link("older", page.older)
        self.newer_url = self._link("newer", page.newer)
        self.newest_url = self.get_query_string() if self.cursor.text else ""

    def _link(self, name: str, cursor: str) -> str:
        return self.get_query_string({name: cursor}) if cursor else ""


class TickedOnly(ActionForm):
    """Acts on the rows that are ticked, a page at most: "all" would be a table of any length."""

    def clean_select_across(self) -> bool:
        return False


class ReadOnly(ModelAdmin):
    """Shows rows and changes none. Subclasses name their form in `filters`."""

    filters: type[Filters] = Filters
    action_form = TickedOnly
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by = ()
    search_placeholder = ""

    class Media:
        css = {"all": ("chat/admin/admin.css",)}  # noqa: RUF012

    def listed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows with what a list shows of them and no more."""
        return rows

    def complete(self, rows: Sequence[Any]) -> None:
        """Adds to a page's rows what takes a query for all of them."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who may do nothing is refused when trying to; Django would show the list again."""
        if request.method == "POST" and not self.get_actions(request):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Deletable(ReadOnly):
    """Shows rows that go where somebody with the right to it says so. Subclasses say how."""

    actions = ("delete_selected",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super(ReadOnly, self).has_delete_permission(request, obj)

    @admin.action(permissions=["delete"], description="Delete selected %(verbose_name_plural)s")
    def delete_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> Any:
        with transaction.atomic():  # what the log says was deleted was deleted
            return delete_selected(self, request, rows)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        """Back to the list: Django sends whoever may not change anything to the front page."""
        super().response_delete(request, obj_display, obj_id)
        asked: Any = {"opts": self.opts, "preserved_filters": self.get_preserved_filters(request)}
        address = reverse(f"admin:chat_{self.opts.model_name}_changelist")
        return HttpResponseRedirect(add_preserved_filters(asked, address))
