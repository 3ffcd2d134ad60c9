"""The admin's site: whatever is registered there does a bounded amount of work at a time."""

from typing import cast

from django.contrib import messages
from django.contrib.admin import AdminSite, ModelAdmin, ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote
from django.db import DataError
from django.db.models import PROTECT, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.text import smart_split
from typing_extensions import override

from apps.core.api import BoundedSearch

SMALL = 100  # rows that may be deleted together with another


class Bounded(ModelAdmin):
    """What the site mixes into each ModelAdmin."""

    show_facets = ShowFacets.NEVER  # they count all rows, once for each choice of each filter

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str):
        """Nothing, and a message, if it is more words than may be: each is looked for."""
        if len(list(smart_split(search_term))) > BoundedSearch.terms:
            words = f"At most {BoundedSearch.terms} words can be searched for."
            self.message_user(request, words, messages.ERROR)
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def get_changelist_instance(self, request: HttpRequest):
        """The list; a filter in the address that no date or number can be is Django's ?e=1."""
        try:
            return super().get_changelist_instance(request)
        except (ValueError, OverflowError, DataError) as error:
            raise IncorrectLookupParameters(error) from error

    def delete_view(self, request: HttpRequest, object_id: str, extra_context=None) -> HttpResponse:
        """Ask, and delete; not what others need, which the page would first have to list."""
        found = self.get_object(request, object_id)
        if found and self.has_delete_permission(request, found) and (needed := needed_by(found)):
            words = f"{found} cannot be deleted, for it has {needed}: suspend or deactivate it."
            self.message_user(request, words, messages.ERROR)
            page = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
            return redirect(page, quote(object_id))
        return super().delete_view(request, object_id, extra_context)


def needed_by(row: Model) -> str | None:
    """What keeps a row from being deleted, in the plural: rows that need it, or too many."""
    for relation in row._meta.related_objects:
        model = cast(type[Model], relation.related_model)
        rows = model._base_manager.filter(**{relation.field.name: row})
        allowed = 0 if relation.on_delete is PROTECT else SMALL
        if rows[: allowed + 1].count() > allowed:
            return str(model._meta.verbose_name_plural)
    return None


class PlatformAdminSite(AdminSite):
    """The platform's admin."""

    site_header = site_title = "Jewelry SaaS Platform"

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.disable_action("delete_selected")  # it lists all that hangs on what was selected

    @override
    def register(self, model_or_iterable, admin_class=None, **options) -> None:
        registered = admin_class or ModelAdmin
        bounded = type(registered.__name__, (Bounded, registered), {"__doc__": registered.__doc__})
        super().register(model_or_iterable, bounded, **options)
