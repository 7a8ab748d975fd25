"""Spans for OpenTelemetry: the only package that knows it, loaded only where there is a receiver."""
