"""What all of the API shares: who may use it, pages, conflicts."""

from rest_framework.exceptions import APIException
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import BasePermission

from apps.core.models import Tenant, User


def refusal(user: User) -> str | None:
    """Why the user may not use the API, in words; None if they may."""
    if user.tenant_id is None:
        if user.is_staff or user.is_superuser:
            return "Administrators of the platform use /admin/: the API is for a tenant's staff."
        return "This user belongs to no tenant: an administrator of the platform must choose one."
    if user.tenant.status != Tenant.Status.ACTIVE:
        return f"The tenant {user.tenant} is {user.tenant.get_status_display().lower()}."
    return None


class IsStaffOfActiveTenant(BasePermission):
    """401 for strangers; 403 for platform administrators and staff of a tenant not active."""

    def has_permission(self, request, view) -> bool:
        """See rest_framework.permissions.BasePermission."""
        if not request.user.is_authenticated:
            return False
        self.message = refusal(request.user)
        return self.message is None


class Pages(PageNumberPagination):
    """?page=2&page_size=100"""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


class StableOrdering(OrderingFilter):
    """?ordering=-price, equal ones always in the same order: no row falls between two pages."""

    def get_ordering(self, request, queryset, view) -> list[str]:
        """The wanted fields, then the primary key."""
        return [*(super().get_ordering(request, queryset, view) or ()), "pk"]


class Conflict(APIException):
    """409: well-formed, but not possible with the data as they are."""

    status_code = 409
    default_code = "conflict"
