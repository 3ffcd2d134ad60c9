"""What all of the API shares: who may use it, queries, pages, conflicts.

No views: rest_framework's views import this while they load.
"""

import re
from typing import TYPE_CHECKING, Any, cast

from django_filters.rest_framework import DjangoFilterBackend as Filters
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.filters import OrderingFilter, SearchFilter
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from typing_extensions import override

from apps.core.models import Tenant, User

if TYPE_CHECKING:
    from rest_framework.generics import GenericAPIView as View
else:
    View = object


def refusal(user: User) -> str | None:
    """Why the user may not use the API, in words; None if they may."""
    tenant = user.tenant
    if tenant is None:
        if user.is_staff or user.is_superuser:
            return "Administrators of the platform use /admin/: the API is for a tenant's staff."
        return "This user belongs to no tenant: an administrator of the platform must choose one."
    if tenant.status != Tenant.Status.ACTIVE:
        return f"The tenant {tenant} is {tenant.get_status_display().lower()}."
    return None


class IsStaffOfActiveTenant(BasePermission):
    """401 for strangers; 403 for platform administrators and staff of a tenant not active."""

    @override
    def has_permission(self, request, view) -> bool:
        if not request.user.is_authenticated:
            return False
        self.message = refusal(request.user)
        return self.message is None


def staff(request: Request) -> User:
    """Who sent the request, behind IsStaffOfActiveTenant."""
    return cast(User, request.user)


class StrictQuery(View):
    """A view (mixed in) that refuses query parameters which it does not know, with 400.

    It knows those of its list's pages and filters, which are also those of the OpenAPI schema.
    """

    @override
    def initial(self, request, *args, **kwargs) -> None:
        super().initial(request, *args, **kwargs)
        known = self._known_parameters()
        unknown = f"There is no such parameter here, only: {', '.join(sorted(known)) or 'none'}."
        wrong = {name: [unknown] for name in request.query_params.keys() - known}
        for name, values in request.query_params.lists():
            if len(values) > 1:
                wrong.setdefault(name, ["Once is enough."])
        if wrong:
            raise ValidationError(wrong)

    def _known_parameters(self) -> set[str]:
        if getattr(self, "action", None) != "list":
            return set()
        backends = [backend() for backend in self.filter_backends if backend is not Filters]
        sources: list[Any] = [*backends, self.paginator]
        filters = getattr(self, "filterset_class", None)
        known = set(filters.base_filters) if filters else set()
        for source in sources:
            known |= {one["name"] for one in source.get_schema_operation_parameters(self)}
        return known


class Pagination(PageNumberPagination):
    """?page=2&page_size=100"""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_page_size(self, request) -> int | None:
        """How many; 400 for what is no number above 0. More than there may be is cut."""
        size = request.query_params.get(self.page_size_query_param)
        if size is not None and not re.fullmatch(r"0{0,9}[1-9][0-9]{0,9}", size):
            raise ValidationError({self.page_size_query_param: ["A whole number from 1 up."]})
        return super().get_page_size(request)


class BoundedSearch(SearchFilter):
    """?search=ring gold: rows that match every word. So many words only: each is looked for."""

    terms = 10
    search_description = f"Words, at most {terms}, that must all be found."

    def get_search_terms(self, request) -> list[str]:
        """The words."""
        terms = super().get_search_terms(request)
        if len(terms) > self.terms:
            problem = f"At most {self.terms} words can be searched for, not {len(terms)}."
            raise ValidationError({self.search_param: [problem]})
        return terms


class StableOrdering(OrderingFilter):
    """?ordering=-price, equal ones always in the same order: no row falls between two pages."""

    def get_ordering(self, request, queryset, view) -> list[str]:
        """The wanted fields, then the primary key."""
        return [*(super().get_ordering(request, queryset, view) or ()), "pk"]

    def remove_invalid_fields(self, queryset, fields, view, request) -> list[str]:
        """The fields; 400 if one is not there or stands twice."""
        names = [field.removeprefix("-") for field in fields]
        allowed = [name for name, _ in self.get_valid_fields(queryset, view, {"request": request})]
        if len(set(names)) < len(names) or set(names) - set(allowed):
            problem = f"Each once, with or without a minus sign: {', '.join(allowed)}."
            raise ValidationError({self.ordering_param: [problem]})
        return fields


class Conflict(APIException):
    """409: well-formed, but not possible with the data as they are; `more` is said with it."""

    status_code = 409
    default_code = "conflict"

    def __init__(self, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.more = more
