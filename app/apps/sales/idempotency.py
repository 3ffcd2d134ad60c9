"""The header Idempotency-Key: a request that is sent again is carried out once."""

import json
from collections.abc import Callable
from functools import wraps
from hashlib import sha256

from django.db import transaction
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.core.api import Conflict
from apps.sales.models import IdempotencyKey

HEADER = "Idempotency-Key"
LONGEST = 255


def idempotent(view: Callable[..., Response]) -> Callable[..., Response]:
    """Let clients send a POST again when they did not get its answer.

    The answer is committed with what the request did, or neither is. After an
    error, the client may send the request again with its key: a view that raised stored nothing.
    """

    @wraps(view)
    def wrapped(self, request, *args, **kwargs) -> Response:
        if HEADER not in request.headers:
            return view(self, request, *args, **kwargs)
        key = request.headers[HEADER]
        if not (1 <= len(key) <= LONGEST and key.isascii() and key.isprintable()):
            raise ValidationError({HEADER: [f"1 to {LONGEST} printable ASCII characters."]})
        content = json.dumps([request.method, request.path, request.data], sort_keys=True)
        digest = sha256(content.encode()).hexdigest()
        with transaction.atomic():
            # If another request with the key is under way, this waits until that has ended.
            stored, is_new = IdempotencyKey.objects.get_or_create(
                tenant=request.user.tenant, key=key, defaults={"request": digest}
            )
            if is_new:
                response = view(self, request, *args, **kwargs)
                stored.status = response.status_code
                stored.body = JSONRenderer().render(response.data).decode()
                stored.save(update_fields=["status", "body"])
                return response
        if stored.request != digest:
            raise Conflict(f"This {HEADER} was used for another request.")
        return Response(
            json.loads(stored.body), stored.status, headers={"Idempotent-Replayed": "true"}
        )

    return wrapped
