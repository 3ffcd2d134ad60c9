"""The platform's own numbers: how processes share them, what is counted, and the exporter."""
