"""Which host was asked, and whose key came with the request.

Pages: https://www.alibabacloud.com/help/en/model-studio/base-url and …/model-studio/regions. In
process the hosts have their real names. Served on loopback, one port has all of it: the paths of
the API, `/oss-file` for uploads and `/oss-result` for results.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx

from tests.emulators.dashscope.refusals import Refusal

__all__ = ["KEY", "MAIN_WORKSPACE", "Caller", "Door", "Key", "Keys", "Origin", "find_origin"]

KEY = "sk-0123456789abcdef0123456789abcdef"
MAIN_WORKSPACE = "llm-main0workspace"

_SHARED = {
    "dashscope.aliyuncs.com": "cn-beijing",
    "dashscope-intl.aliyuncs.com": "ap-southeast-1",
    "dashscope-us.aliyuncs.com": "us-east-1",
    "cn-hongkong.dashscope.aliyuncs.com": "cn-hongkong",
}
_REGION = r"cn-beijing|ap-southeast-1|us-east-1|cn-hongkong|eu-central-1|ap-northeast-1"
_DEDICATED = re.compile(rf"([a-z0-9][a-z0-9_-]{{0,63}})\.({_REGION})\.maas\.aliyuncs\.com")
_STORE = re.compile(rf"dashscope-(file|result)-[a-z0-9]+\.oss-({_REGION})\.aliyuncs\.com")
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_BEARER = re.compile(r"Bearer ([\x21-\x7e]+)")


class Door:
    """What a host, or a path of the served emulator, is for."""

    API = "api"
    FILES = "oss-file"
    RESULTS = "oss-result"


@dataclass(frozen=True, slots=True)
class Origin:
    """The host that a request went to."""

    door: str
    region: str
    path: str
    """The path within the door, decoded."""
    workspace: str | None = None
    """In lower case, from the name of a dedicated host."""
    dedicated: bool = False
    files_url: str = ""
    """Where a form with a file is posted to."""
    results_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key; it opens the hosts of one region for one account."""

    value: str = KEY
    region: str = "ap-southeast-1"
    account: str = "account-1"
    workspace: str = MAIN_WORKSPACE
    subworkspaces: frozenset[str] = frozenset()
    """Others that the key may name in `X-DashScope-WorkSpace`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and where; what is kept at the service belongs to `owner`."""

    account: str
    region: str
    workspace: str
    main: bool
    """In the main workspace of the account."""

    @property
    def owner(self) -> tuple[str, str]:
        return self.account, self.region


class Keys:
    """The keys that the service knows."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.value: key for key in keys}

    def add(self, key: Key) -> None:
        self._keys[key.value] = key

    def revoke(self, value: str) -> None:
        """From now on the key is refused, also in the middle of a run."""
        self._keys.pop(value, None)

    def caller(self, headers: httpx.Headers, origin: Origin) -> Caller:
        """Who sent the request; raises 401, 403 or 404 as the service does."""
        given = _BEARER.fullmatch(headers.get("authorization", ""))
        key = self._keys.get(given[1]) if given else None
        # A key of another region is as unknown as one that never was.
        if key is None or key.region != origin.region:
            raise Refusal(401, "InvalidApiKey", "Invalid API-key provided.")
        if origin.workspace and origin.workspace != key.workspace.lower():
            raise Refusal(401, "NOT AUTHORIZED", "The workspace is not authorized.")
        workspace = headers.get("x-dashscope-workspace", key.workspace)
        if not _WORKSPACE.fullmatch(workspace):
            raise Refusal(404, "WorkSpaceNotFound", "The workspace cannot be found.")
        if workspace != key.workspace and workspace not in key.subworkspaces:
            raise Refusal(403, "Workspace.AccessDenied", "Workspace access denied.")
        return Caller(key.account, key.region, workspace, workspace == key.workspace)


def find_origin(
    url: httpx.URL, *, served_region: str, named: Mapping[str, str], dedicated: bool
) -> Origin:
    """Raises httpx.ConnectError for a host that does not exist.

    `named` gives further hosts their region; loopback belongs to `served_region`.
    """
    host = url.host.lower()
    if found := _STORE.fullmatch(host):
        door = Door.FILES if found[1] == "file" else Door.RESULTS
        return Origin(door, found[2], url.path)
    if host in _SHARED:
        return _api(_SHARED[host], url.path)
    if found := _DEDICATED.fullmatch(host):
        workspace = None if found[1] == "trial" else found[1]
        return _api(found[2], url.path, workspace=workspace, dedicated=True)
    if host not in named and not _is_loopback(host):
        raise httpx.ConnectError(f"[Errno -2] Name or service not known: {host}")
    return _served(url, named.get(host, served_region), dedicated=dedicated)


def _api(
    region: str, path: str, *, workspace: str | None = None, dedicated: bool = False
) -> Origin:
    return Origin(
        Door.API,
        region,
        path,
        workspace,
        dedicated,
        f"https://dashscope-file-emu.oss-{region}.aliyuncs.com",
        f"https://dashscope-result-emu.oss-{region}.aliyuncs.com",
    )


def _served(url: httpx.URL, region: str, *, dedicated: bool) -> Origin:
    root = f"{url.scheme}://{url.netloc.decode('ascii')}"
    for door in (Door.FILES, Door.RESULTS):
        if url.path == f"/{door}" or url.path.startswith(f"/{door}/"):
            return Origin(door, region, url.path.removeprefix(f"/{door}") or "/")
    return Origin(
        Door.API,
        region,
        url.path,
        dedicated=dedicated,
        files_url=f"{root}/{Door.FILES}",
        results_url=f"{root}/{Door.RESULTS}",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
