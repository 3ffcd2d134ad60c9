"""All routes of the platform."""

from django.contrib import admin
from django.urls import include, path
from rest_framework.routers import SimpleRouter

from apps.core import schema, views
from apps.core.token import LogoutView, TokenView
from apps.inventory.api import ItemViewSet, StockValuationViewSet
from apps.monitoring.views import metrics
from apps.sales.api import SaleViewSet

router = SimpleRouter()
router.register("items", ItemViewSet, basename="item")
router.register("valuations", StockValuationViewSet, basename="valuation")
router.register("sales", SaleViewSet, basename="sale")

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("api/v1/", schema.RootView.as_view(), name="api-root"),
    path("api/v1/schema/", schema.SchemaView.as_view(), name="schema"),
    path("api/v1/docs/", schema.docs, name="docs"),
    path("api/v1/token/", TokenView.as_view(), name="token"),
    path("api/v1/logout/", LogoutView.as_view(), name="logout"),
    path("api/v1/", include(router.urls)),
    path("metrics", metrics, name="metrics"),
]

handler400 = "apps.core.errors.bad_request"
handler403 = "apps.core.errors.forbidden"
handler404 = "apps.core.errors.not_found"
handler500 = "apps.core.errors.server_error"
