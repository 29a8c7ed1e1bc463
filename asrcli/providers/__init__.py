"""The services and engines, each behind the same door."""
