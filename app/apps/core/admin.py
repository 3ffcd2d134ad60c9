"""Tenants and users in the admin, which is for platform administrators only."""

from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from typing_extensions import override

from apps.core.models import Tenant, User


class ReadOnly(BaseModelAdmin):
    """For rows that only the application writes."""

    @override
    def has_add_permission(self, request, obj=None) -> bool:
        return False

    @override
    def has_change_permission(self, request, obj=None) -> bool:
        return False

    @override
    def has_delete_permission(self, request, obj=None) -> bool:
        return False


@admin.register(Tenant)
class TenantAdmin(admin.ModelAdmin):
    """Tenants: suspend one by its status."""

    list_display = ["company_name", "slug", "status", "created_at"]
    list_filter = ["status"]
    search_fields = ["company_name", "slug"]
    prepopulated_fields = {"slug": ["company_name"]}


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Django's, and the tenant."""

    list_display = ["username", "tenant", "email", "is_superuser", "is_active", "last_login"]
    list_filter = ["is_superuser", "is_active"]  # no tenant: there are thousands
    search_fields = [*DjangoUserAdmin.search_fields, "=tenant__slug"]
    search_help_text = "User name, name, e-mail address or, in full, the shop's slug."
    list_select_related = ["tenant"]
    autocomplete_fields = ["tenant"]
    fieldsets = [(None, {"fields": ["tenant"]}), *(DjangoUserAdmin.fieldsets or ())]
    add_fieldsets = [
        *DjangoUserAdmin.add_fieldsets,
        (None, {"fields": ["tenant", "is_staff", "email"]}),
    ]
