"""/api/v1/token/ (apart from api.py, which rest_framework's views import while they load)"""

from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.exceptions import PermissionDenied
from rest_framework.throttling import AnonRateThrottle

from apps.core.api import IsStaffOfActiveTenant, is_staff_of_active_tenant


class TokenThrottle(AnonRateThrottle):
    """Slows down whoever guesses passwords, by address."""

    scope = "token"


class TokenView(ObtainAuthToken):
    """POST username and password, get the token for `Authorization: Token …`."""

    throttle_classes = (TokenThrottle,)

    def post(self, request, *args, **kwargs):
        """Give the token; 400 for wrong credentials, 403 unless the tenant is active."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if not is_staff_of_active_tenant(serializer.validated_data["user"]):
            raise PermissionDenied(IsStaffOfActiveTenant.message)
        return super().post(request, *args, **kwargs)
