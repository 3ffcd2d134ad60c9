"""Django's applications that are set up otherwise here."""

from django.contrib.admin.apps import AdminConfig


class PlatformAdminConfig(AdminConfig):
    """The admin, on a site of our own."""

    default_site = "apps.core.site.PlatformAdminSite"
