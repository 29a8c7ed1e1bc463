"""The way to a service: HTTP, limits, retries."""

import sys

# httpx has a command line, and loads click, rich and pygments for it: more than half of its start.
# Without that module it does without, as where these packages are missing.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
