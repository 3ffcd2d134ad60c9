"""/api/v1/sales/"""

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters import FilterSet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.core.api import Conflict, Filters, StrictQuery, staff
from apps.core.filters import FromDay, ToDay
from apps.sales.idempotency import HEADER, idempotent
from apps.sales.models import Sale, SaleLine, SaleVoid
from apps.sales.services import OutOfStock, UnknownItems, VoidAlready, sell, void

MAX_LINES = 100
KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="With the same key and the same body, the request is carried out once.",
)


class SaleLineSerializer(serializers.ModelSerializer):
    """An item's SKU and how many pieces of it."""

    sku = serializers.CharField(max_length=40)
    quantity = serializers.IntegerField(min_value=1, max_value=10_000)

    class Meta:
        model = SaleLine
        fields = ["sku", "name", "quantity", "unit_price"]
        read_only_fields = ["name", "unit_price"]


class VoidSerializer(serializers.ModelSerializer):
    """Why a sale does not count, since when, and who said so."""

    voided_by = serializers.CharField(source="voided_by.username", read_only=True)

    class Meta:
        model = SaleVoid
        fields = ["reason", "voided_by", "created_at"]
        read_only_fields = ["created_at"]


class SaleSerializer(serializers.ModelSerializer):
    """A sale with its lines."""

    lines = SaleLineSerializer(
        many=True,
        allow_empty=False,
        max_length=MAX_LINES,  # type: ignore[call-arg]  # of the list that many=True makes
    )
    sold_by = serializers.CharField(source="sold_by.username", read_only=True)
    void = VoidSerializer(read_only=True, allow_null=True, default=None)

    class Meta:
        model = Sale
        fields = [
            "id",
            "number",
            "sold_by",
            "customer_email",
            "lines",
            "total",
            "currency",
            "created_at",
            "receipt_sent_at",
            "void",
        ]
        read_only_fields = ["number", "total", "currency", "created_at", "receipt_sent_at"]

    def validate_lines(self, lines: list[dict]) -> list[dict]:
        """Refuse two lines of one SKU: added up or a mistake? Better asked than guessed."""
        if len({line["sku"] for line in lines}) < len(lines):
            raise serializers.ValidationError("Each SKU may stand in one line only.")
        return lines

    def create(self, validated_data: dict) -> Sale:
        """Sell; 400 for SKUs that the tenant does not have."""
        quantities = {line["sku"]: line["quantity"] for line in validated_data["lines"]}
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
    """The sales of the user's tenant, the newest first. They are voided, never changed."""

    queryset = Sale.objects.none()  # the model, for the schema
    serializer_class = SaleSerializer
    filter_backends = [Filters]
    filterset_class = SaleFilter
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[Sale]:
        """The tenant's sales."""
        sales = Sale.objects.filter(tenant=staff(self.request).tenant_id)
        return sales.select_related("sold_by", "void__voided_by").prefetch_related("lines")

    @extend_schema(parameters=[KEY])
    @idempotent
    def create(self, request, *args, **kwargs) -> Response:
        """Sell; 409 when there is too little in stock, with what there is."""
        try:
            return super().create(request, *args, **kwargs)
        except OutOfStock as error:
            raise Conflict("Not enough in stock.", shortages=error.shortages) from error

    @extend_schema(parameters=[KEY], responses=SaleSerializer)
    @action(["POST"], detail=True, serializer_class=VoidSerializer)
    @idempotent
    def void(self, request, *args, **kwargs) -> Response:
        """Void the sale, with a reason; 409 if it was voided before or the stock has no room."""
        sale = self.get_object()
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            void(sale, request.user, serializer.validated_data["reason"])
        except VoidAlready as error:
            raise Conflict("The sale was voided before.") from error
        except ValidationError as error:
            raise Conflict(str(error.message)) from error
        return Response(SaleSerializer(self.get_object()).data)
