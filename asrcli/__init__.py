"""asrcli: speech to text at the shell."""

__version__ = "0.1.0"
