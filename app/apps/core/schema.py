"""What the API says of itself: its root, its OpenAPI schema and a page to read it on."""

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from apps.core.api import StrictQuery
from apps.core.errors import MEDIA_TYPE, answer

PARTS = {
    "items": "item-list",
    "valuations": "valuation-list",
    "sales": "sale-list",
    "token": "token",
    "schema": "schema",
    "docs": "docs",
}


class Public(StrictQuery, APIView):
    """A view for everybody."""

    authentication_classes = ()
    permission_classes = ()


@extend_schema(exclude=True)
class RootView(Public):
    """Where the parts of the API are."""

    def get(self, request) -> Response:
        """The address of each part."""
        return Response({name: reverse(view, request=request) for name, view in PARTS.items()})


@extend_schema(exclude=True)
class SchemaView(Public):
    """The OpenAPI schema, the same for everybody."""

    renderer_classes = (OpenApiJsonRenderer, JSONRenderer)

    def get(self, request) -> Response:
        """The schema."""
        return Response(_schema())


@cache
def _schema() -> dict:
    """The schema; made once, for that takes as long as many requests."""
    return SchemaGenerator().get_schema(request=None, public=True)


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The schema as a page, on which requests can be tried out. All files are our own."""
    if request.GET:
        return answer(request, 400, "This page has no parameters.")
    return render(request, "docs.html")


class TokenScheme(KnoxTokenScheme):
    """How our tokens stand in the schema. (That it is there is enough.)"""

    target_class = "apps.core.authentication.TokenAuthentication"


def add_problems(result: dict, **kwargs) -> dict:
    """Add to each operation of the schema what is answered when something goes wrong."""
    words = {"type": "array", "items": {"type": "string"}}
    result["components"]["schemas"]["Problem"] = {
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {
                "type": "object",
                "description": "What is wrong, by field or parameter.",
                "additionalProperties": words,
            },
        },
    }
    answers = {
        "description": "Something is wrong; for 429 and 503, Retry-After says when to try again.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"]["default"] = answers
    return result
