"""Tenants and users."""

from zoneinfo import available_timezones

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django_prometheus.models import ExportModelOperationsMixin

from apps.core import currencies


def validate_time_zone(name: str) -> None:
    """Refuse what is no time zone."""
    if name not in available_timezones():
        raise ValidationError("There is no such time zone. An example: Europe/Berlin.")


class Tenant(
    ExportModelOperationsMixin("tenant"),  # type: ignore[misc]  # a class made by a call
    models.Model,
):
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
    currency = models.CharField(
        max_length=3, choices=currencies.choices, default="EUR", db_default="EUR"
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        validators=[validate_time_zone],
        help_text="Of the dates on receipts, such as Europe/Berlin. Empty: the platform's.",
    )
    address = models.TextField(
        max_length=500, blank=True, default="", db_default="", help_text="As on receipts."
    )

    class Meta:
        ordering = ["company_name"]
        constraints = [
            models.CheckConstraint(
                name="tenant_currency_is_a_code", condition=Q(currency__regex=r"^[A-Z]{3}$")
            )
        ]

    def __str__(self) -> str:
        return self.company_name


class User(
    ExportModelOperationsMixin("user"),  # type: ignore[misc]  # a class made by a call
    AbstractUser,
):
    """A person: staff of one tenant's shop, or (without a tenant) of the platform."""

    tenant = models.ForeignKey(
        Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="users"
    )

    class Meta(AbstractUser.Meta):  # type: ignore[name-defined]  # the stubs lack it
        constraints = [
            # The admin shows the data of all tenants.
            models.CheckConstraint(
                name="user_of_tenant_has_no_platform_rights",
                condition=Q(tenant=None) | Q(is_staff=False, is_superuser=False),
                violation_error_message="Staff of a tenant cannot be staff of the platform.",
            )
        ]

    @classmethod
    def from_db(cls, db, field_names, values) -> "User":
        """Remember the tenant as the database has it."""
        user = super().from_db(db, field_names, values)
        user._stored_tenant_id = user.__dict__.get("tenant_id")
        return user

    def clean(self) -> None:
        """Refuse an active user who could not log in anywhere."""
        super().clean()
        if self.is_active and self.tenant_id is None and not (self.is_staff or self.is_superuser):
            raise ValidationError("Choose a tenant, or make the user staff of the platform.")

    def save(self, *args, **kwargs) -> None:
        """Store. Tokens end with the password, the account or the tenant they were given for."""
        moved = getattr(self, "_stored_tenant_id", None) not in (None, self.tenant_id)
        # Django sets _password when a new one was chosen, not when it only hashes it again.
        ends_tokens = self._password is not None or not self.is_active or moved
        with transaction.atomic():
            super().save(*args, **kwargs)
            if ends_tokens:
                self.auth_token_set.all().delete()
        self._stored_tenant_id = self.tenant_id


class RateLimit(models.Model):
    """Until when what was taken of a limit is paid off: see apps.core.limits."""

    key = models.CharField(max_length=64, primary_key=True)
    until = models.DateTimeField(db_index=True)


class Readiness(models.Model):
    """One row, which the probe of readiness writes: see apps.core.views."""

    written = models.DateTimeField()
