"""/api/v1/sales/"""

from django.db.models import QuerySet
from django_filters import FilterSet
from rest_framework import mixins, serializers
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.core.api import Conflict, Filters, StrictQuery
from apps.core.filters import FromDay, ToDay
from apps.sales.models import Sale, SaleLine
from apps.sales.services import OutOfStock, UnknownItems, sell

MAX_LINES = 100


class SaleLineSerializer(serializers.ModelSerializer):
    """An item's SKU and how many pieces of it."""

    sku = serializers.CharField(source="item.sku", max_length=40)
    quantity = serializers.IntegerField(min_value=1, max_value=10_000)

    class Meta:
        model = SaleLine
        fields = ["sku", "quantity", "unit_price"]
        read_only_fields = ["unit_price"]


class SaleSerializer(serializers.ModelSerializer):
    """A sale with its lines."""

    lines = SaleLineSerializer(many=True, allow_empty=False, max_length=MAX_LINES)
    sold_by = serializers.CharField(source="sold_by.username", read_only=True)

    class Meta:
        model = Sale
        fields = [
            "id",
            "sold_by",
            "customer_email",
            "lines",
            "total",
            "created_at",
            "receipt_sent_at",
        ]
        read_only_fields = ["total", "created_at", "receipt_sent_at"]

    def validate_lines(self, lines: list[dict]) -> list[dict]:
        """Refuse two lines of one SKU: added up or a mistake? Better asked than guessed."""
        if len({line["item"]["sku"] for line in lines}) < len(lines):
            raise serializers.ValidationError("Each SKU may stand in one line only.")
        return lines

    def create(self, validated_data: dict) -> Sale:
        """Sell; 400 for SKUs that the tenant does not have."""
        quantities = {line["item"]["sku"]: line["quantity"] for line in validated_data["lines"]}
        user = self.context["request"].user
        try:
            return sell(user, quantities, validated_data.get("customer_email", ""))
        except UnknownItems as error:
            raise serializers.ValidationError(
                {"lines": [f"There is no item with the SKU {sku}." for sku in error.skus]}
            ) from error


class SaleFilter(FilterSet):
    """A span of days, both included."""

    created_from = FromDay("created_at")
    created_to = ToDay("created_at")


class SaleViewSet(
    StrictQuery,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    GenericViewSet,
):
    """The sales of the user's tenant, the newest first. What was sold stays sold: no changes."""

    queryset = Sale.objects.none()  # tells the schema the model
    serializer_class = SaleSerializer
    filter_backends = [Filters]
    filterset_class = SaleFilter
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[Sale]:
        """The tenant's sales."""
        sales = Sale.objects.filter(tenant=self.request.user.tenant_id)
        return sales.select_related("sold_by").prefetch_related("lines__item")

    def create(self, request, *args, **kwargs) -> Response:
        """Sell; 409 when there is too little in stock, with what there is."""
        try:
            return super().create(request, *args, **kwargs)
        except OutOfStock as error:
            raise Conflict("Not enough in stock.", shortages=error.shortages) from error
