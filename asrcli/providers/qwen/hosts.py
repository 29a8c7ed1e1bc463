"""Where Qwen Cloud is: one host for each region, three paths on each.

Pages: https://www.alibabacloud.com/help/en/model-studio/base-url and …/model-studio/regions.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from asrcli.errors import ConfigurationError
from asrcli.settings import Settings

__all__ = ["REGIONS", "Hosts", "find_hosts"]

_SHARED = {
    "ap-southeast-1": "dashscope-intl.aliyuncs.com",
    "cn-beijing": "dashscope.aliyuncs.com",
    "us-east-1": "dashscope-us.aliyuncs.com",
    "cn-hongkong": "cn-hongkong.dashscope.aliyuncs.com",
}
_DEDICATED = frozenset({*_SHARED, "eu-central-1", "ap-northeast-1"})
_SHORT = {
    "intl": "ap-southeast-1",
    "singapore": "ap-southeast-1",
    "cn": "cn-beijing",
    "beijing": "cn-beijing",
    "us": "us-east-1",
    "hk": "cn-hongkong",
    "hongkong": "cn-hongkong",
    "eu": "eu-central-1",
    "jp": "ap-northeast-1",
}
REGIONS = ("intl", "cn", "us", "hk", "eu", "jp")
"""The short names; the service's own ids are taken too."""

_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PATHS = ("/api/v1", "/compatible-mode/v1", "/api-ws/v1/inference", "/api-ws/v1")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The base URLs of one region or workspace, without a slash at the end."""

    native: str
    compatible: str
    region: str | None = None
    """None where somebody gave a URL of their own."""
    workspace: str | None = None
    """Goes into a header where the host does not already name it."""


def find_hosts(settings: Settings) -> Hosts:
    """The hosts that the settings ask for; raises ConfigurationError for an unknown region.

    A base URL may end in the path of either protocol: the other one is derived from it.
    """
    workspace = settings.workspace()
    if workspace and not _WORKSPACE.fullmatch(workspace.value):
        raise ConfigurationError(f"{workspace.place} holds no workspace id: {workspace.value!r}")
    name = workspace.value if workspace else None
    found = settings.region()
    region = _region(found.value, found.place) if found else "ap-southeast-1"
    base = settings.base_url("qwen")
    if base and found and found.place == "--region":
        if base.place == "--base-url":
            raise ConfigurationError("--region and --base-url both say where to send")
        base = None  # the flag says where, and it beats a variable
    if base:
        root = _without_path(base.value)
        return Hosts(f"{root}/api/v1", f"{root}/compatible-mode/v1", workspace=name)
    if region in _SHARED:
        root = f"https://{_SHARED[region]}"
    elif name:
        root, name = f"https://{name}.{region}.maas.aliyuncs.com", None
    else:
        raise ConfigurationError(
            f"the region {region} has no shared host",
            hint="Set DASHSCOPE_WORKSPACE_ID: its hosts are one for each workspace.",
        )
    return Hosts(f"{root}/api/v1", f"{root}/compatible-mode/v1", region, name)


def _region(name: str, place: str) -> str:
    lowered = name.strip().lower()
    region = _SHORT.get(lowered, lowered)
    if region not in _DEDICATED:
        known = [*_SHORT, *sorted(_DEDICATED)]
        near = difflib.get_close_matches(lowered, known, n=2) or list(REGIONS)
        raise ConfigurationError(
            f"{place}: there is no region {name!r}", hint=f"Did you mean {', '.join(near)}?"
        )
    return region


def _without_path(url: str) -> str:
    url = url.strip().rstrip("/")
    return next((url.removesuffix(path) for path in _PATHS if url.endswith(path)), url)
