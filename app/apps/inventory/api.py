"""/api/v1/items/ and /api/v1/valuations/"""

from copy import copy

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q, QuerySet
from django.utils import timezone
from django_filters import ChoiceFilter, FilterSet, NumberFilter
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, ModelSerializer
from rest_framework.viewsets import ModelViewSet, ReadOnlyModelViewSet

from apps.core.api import BoundedSearch, Conflict, Filters, StableOrdering, StrictQuery, staff
from apps.core.filters import DayFilter, TrueFalseFilter
from apps.inventory.catalog import cached
from apps.inventory.models import LOW_STOCK, Item, StockValuation, stock_value


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


class ItemFilter(FilterSet):
    """What a shop asks of its stock."""

    metal = ChoiceFilter(choices=Item.Metal)
    low_stock = TrueFalseFilter(method="filter_low_stock", help_text="To be ordered again, or not.")
    price_min = NumberFilter("price", "gte", min_value=0, max_digits=12, decimal_places=2)
    price_max = NumberFilter("price", "lte", min_value=0, max_digits=12, decimal_places=2)

    def filter_low_stock(self, items: QuerySet, name: str, value: bool) -> QuerySet:
        """The items that are low in stock, or the others."""
        return items.filter(LOW_STOCK if value else ~Q(LOW_STOCK))


class ItemViewSet(StrictQuery, ModelViewSet):
    """The items of the user's tenant. Reads come from the cache."""

    queryset = Item.objects.none()  # the model, for the schema
    serializer_class = ItemSerializer
    filter_backends = [Filters, BoundedSearch, StableOrdering]
    filterset_class = ItemFilter
    search_fields = ["sku", "name"]
    ordering_fields = ["sku", "name", "price", "stock"]
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[Item]:
        """The tenant's items, locked if they are to be changed."""
        items = Item.objects.filter(tenant=staff(self.request).tenant_id)
        # The lock keeps a change of the price from writing back pieces that were sold since.
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

    def perform_create(self, serializer: BaseSerializer) -> None:
        """Store the item as the tenant's."""
        try:
            serializer.save(tenant=staff(self.request).tenant)
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
        except (ProtectedError, IntegrityError) as error:  # sold long ago, or in this moment
            raise Conflict("The item was sold already: set its stock to 0 instead.") from error


class StockValuationSerializer(ModelSerializer):
    """What the stock was worth at the end of a day."""

    class Meta:
        model = StockValuation
        fields = ["day", "items", "pieces", "value"]


class StockValuationFilter(FilterSet):
    """A span of days."""

    day_from = DayFilter("day", "gte")
    day_to = DayFilter("day", "lte")


class StockValuationViewSet(StrictQuery, ReadOnlyModelViewSet):
    """What the stock of the user's tenant is worth: at the end of each day, the newest first."""

    queryset = StockValuation.objects.none()
    serializer_class = StockValuationSerializer
    filter_backends = [Filters]
    filterset_class = StockValuationFilter
    lookup_field = "day"
    lookup_value_regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

    def get_queryset(self) -> QuerySet[StockValuation]:
        """The tenant's days."""
        return StockValuation.objects.filter(tenant=staff(self.request).tenant_id)

    @action(detail=False)
    def now(self, request) -> Response:
        """What the stock is worth at this moment, today's number in the making."""
        total = stock_value(request.user.tenant)
        return Response(self.get_serializer(StockValuation(day=timezone.localdate(), **total)).data)
