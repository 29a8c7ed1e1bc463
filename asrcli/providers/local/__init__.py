"""The embedded engine: pocketsphinx, English only; nothing leaves this computer."""

from asrcli.providers.local.provider import Local, available

__all__ = ["Local", "available"]
