"""/api/v1/items/"""

from copy import copy

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet
from rest_framework.filters import SearchFilter
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.viewsets import ModelViewSet

from apps.core.api import Conflict, StableOrdering
from apps.inventory.catalog import cached
from apps.inventory.models import Item


class ItemSerializer(ModelSerializer):
    """An item, without its tenant: that is the user's."""

    class Meta:
        model = Item
        fields = [
            "id",
            "sku",
            "name",
            "metal",
            "karat",
            "weight_grams",
            "price",
            "stock",
            "low_stock_level",
        ]

    def validate(self, attrs: dict) -> dict:
        """Check the model's rules that concern several fields or other items."""
        tenant = self.context["request"].user.tenant
        item = copy(self.instance) if self.instance else Item(tenant=tenant)
        for name, value in attrs.items():
            setattr(item, name, value)
        item.validate_constraints()
        return attrs


class ItemViewSet(ModelViewSet):
    """The items of the user's tenant. Reads come from the cache."""

    serializer_class = ItemSerializer
    filter_backends = [SearchFilter, StableOrdering]
    search_fields = ["sku", "name"]
    ordering_fields = ["sku", "name", "price", "stock"]
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[Item]:
        """The tenant's items, locked if they are to be changed."""
        items = Item.objects.filter(tenant=self.request.user.tenant_id)
        # The lock keeps a change of the price from writing back a stock that was sold meanwhile.
        return items.select_for_update() if self.request.method in ("PUT", "PATCH") else items

    def list(self, request, *args, **kwargs) -> Response:
        """One page."""
        return self._cached(super().list, request, *args, **kwargs)

    def retrieve(self, request, *args, **kwargs) -> Response:
        """One item."""
        return self._cached(super().retrieve, request, *args, **kwargs)

    def _cached(self, read, request, *args, **kwargs) -> Response:
        # The whole URL: a page links to its neighbours by it.
        url = request.build_absolute_uri()
        return Response(
            cached(request.user.tenant_id, url, lambda: read(request, *args, **kwargs).data)
        )

    def perform_create(self, serializer: ItemSerializer) -> None:
        """Store the item as the tenant's."""
        try:
            serializer.save(tenant=self.request.user.tenant)
        except IntegrityError as error:  # somebody was quicker, after our validation
            raise Conflict("There is already an item with this SKU.") from error

    @transaction.atomic
    def update(self, request, *args, **kwargs) -> Response:
        """Change the item (PUT and PATCH)."""
        try:
            return super().update(request, *args, **kwargs)
        except IntegrityError as error:
            raise Conflict("There is already an item with this SKU.") from error

    def perform_destroy(self, instance: Item) -> None:
        """Delete the item unless a sale needs it."""
        try:
            instance.delete()
        except ProtectedError as error:
            raise Conflict("The item was sold already: set its stock to 0 instead.") from error
