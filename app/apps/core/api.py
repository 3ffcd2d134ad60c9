"""What all of the API shares: who may use it, pages, conflicts."""

from rest_framework.exceptions import APIException
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import PageNumberPagination
from rest_framework.permissions import BasePermission

from apps.core.models import Tenant, User


def is_staff_of_active_tenant(user: User) -> bool:
    """Whether the user belongs to a tenant that may use the platform now."""
    return bool(user.tenant_id) and user.tenant.status == Tenant.Status.ACTIVE


class IsStaffOfActiveTenant(BasePermission):
    """401 for strangers; 403 for platform administrators and staff of a tenant not active."""

    message = "Only the staff of an active tenant may use this."

    def has_permission(self, request, view) -> bool:
        """See rest_framework.permissions.BasePermission."""
        return request.user.is_authenticated and is_staff_of_active_tenant(request.user)


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
