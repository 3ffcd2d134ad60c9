"""Who asks: the token of a request. (Apart from token.py: rest_framework loads this first.)"""

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed


class TokenAuthentication(KnoxAuthentication):
    """knox's, at the cost of one query."""

    def authenticate_credentials(self, token: bytes) -> tuple:
        """The token's user. What cannot be a token is not looked for (a NUL would be an error)."""
        if not token.isalnum():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)

    def _cleanup_token(self, auth_token: AuthToken) -> bool:
        """Whether it is too old. knox would read all tokens of the user to delete the old ones."""
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()
