"""Tenants, users, probes, and what the other applications share."""
