"""Tenants and users."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django_prometheus.models import ExportModelOperationsMixin


class Tenant(ExportModelOperationsMixin("tenant"), models.Model):
    """A jeweller who rents the platform. Everything in a shop belongs to exactly one."""

    class Status(models.TextChoices):
        """Only the staff of an active tenant may use the API."""

        ACTIVE = "ACTIVE"
        SUSPENDED = "SUSPENDED"
        CLOSED = "CLOSED"

    company_name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["company_name"]

    def __str__(self) -> str:
        return self.company_name


class User(ExportModelOperationsMixin("user"), AbstractUser):
    """A person: staff of one tenant's shop, or (without a tenant) of the platform."""

    tenant = models.ForeignKey(
        Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="users"
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            # The admin shows the data of all tenants.
            models.CheckConstraint(
                name="user_of_tenant_has_no_platform_rights",
                condition=Q(tenant=None) | Q(is_staff=False, is_superuser=False),
                violation_error_message="Staff of a tenant cannot be staff of the platform.",
            )
        ]
