"""/api/v1/token/ and /api/v1/logout/ (apart from api.py, which rest_framework loads first)"""

from django.contrib.auth.signals import user_logged_in
from drf_spectacular.utils import extend_schema, extend_schema_view
from knox.models import AuthToken
from knox.views import LogoutView as KnoxLogoutView
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import FormParser
from rest_framework.response import Response
from rest_framework.serializers import CharField, DateTimeField, Serializer
from rest_framework.views import APIView

from apps.core.api import StrictQuery, refusal
from apps.core.authentication import TokenAuthentication
from apps.core.parsers import StrictJSONParser


class GivenToken(Serializer):
    """What a login gives."""

    token = CharField()
    expiry = DateTimeField(help_text="When it ends unless it is used.")


class TokenView(StrictQuery, APIView):
    """POST username and password, get a token for `Authorization: Token …`."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (StrictJSONParser, FormParser)

    @extend_schema(request=AuthTokenSerializer, responses=GivenToken)
    def post(self, request) -> Response:
        """Give a token; 400 for wrong credentials, 403 unless the tenant is active."""
        serializer = AuthTokenSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        user = serializer.validated_data["user"]
        if words := refusal(user):
            raise PermissionDenied(words)
        token, key = AuthToken.objects.create(user)
        user_logged_in.send(sender=type(user), request=request, user=user)
        expiry = DateTimeField().to_representation(token.expiry)
        return Response({"token": key, "expiry": expiry})


@extend_schema_view(post=extend_schema(request=None, responses={204: None}))
class LogoutView(StrictQuery, KnoxLogoutView):
    """POST: delete the token that came with the request."""

    authentication_classes = (TokenAuthentication,)
