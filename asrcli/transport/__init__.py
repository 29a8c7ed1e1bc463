"""The way to a service: HTTP, limits, retries."""
