from __future__ import annotations

from pathlib import Path

import pytest

from asrcli.errors import ConfigurationError
from asrcli.providers.qwen.hosts import find_hosts
from asrcli.settings import Settings


def settings(
    environ: dict[str, str] | None = None, *, base_url: str | None = None, region: str | None = None
) -> Settings:
    return Settings(
        environ=environ or {}, path=Path("/nonexistent"), base_url=base_url, region=region
    )


def test_without_a_setting_it_is_the_international_region() -> None:
    assert find_hosts(settings()).native == "https://dashscope-intl.aliyuncs.com/api/v1"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("intl", "dashscope-intl.aliyuncs.com"),
        ("CN", "dashscope.aliyuncs.com"),
        ("us-east-1", "dashscope-us.aliyuncs.com"),
        ("hk", "cn-hongkong.dashscope.aliyuncs.com"),
    ],
)
def test_a_region_has_a_host_by_its_short_or_its_own_name(region: str, host: str) -> None:
    hosts = find_hosts(settings(region=region))

    assert hosts.native == f"https://{host}/api/v1"
    assert hosts.compatible == f"https://{host}/compatible-mode/v1"


def test_an_unknown_region_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_hosts(settings(region="cn-bejing"))

    assert "cn-beijing" in (caught.value.hint or "")


def test_a_region_without_a_shared_host_needs_a_workspace() -> None:
    with pytest.raises(ConfigurationError, match="eu-central-1"):
        find_hosts(settings(region="eu"))

    hosts = find_hosts(settings({"DASHSCOPE_WORKSPACE_ID": "ws-1"}, region="eu"))

    assert hosts.native == "https://ws-1.eu-central-1.maas.aliyuncs.com/api/v1"
    assert hosts.workspace is None


def test_a_workspace_on_a_shared_host_goes_into_a_header() -> None:
    assert find_hosts(settings({"DASHSCOPE_WORKSPACE_ID": "ws-1"})).workspace == "ws-1"


@pytest.mark.parametrize("value", ["a/b", "-a", "a" * 65, "ws 1"])
def test_a_workspace_that_could_change_the_host_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="DASHSCOPE_WORKSPACE_ID"):
        find_hosts(settings({"DASHSCOPE_WORKSPACE_ID": value}))


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example",
        "https://h.example/",
        "https://h.example/api/v1",
        "https://h.example/api/v1/",
        "https://h.example/compatible-mode/v1",
        "https://h.example/api-ws/v1/inference",
    ],
)
def test_a_base_url_may_end_in_any_of_the_paths(url: str) -> None:
    hosts = find_hosts(settings(base_url=url))

    assert hosts.native == "https://h.example/api/v1"
    assert hosts.compatible == "https://h.example/compatible-mode/v1"


def test_the_vendors_variable_for_the_base_url_is_read() -> None:
    environ = {"DASHSCOPE_HTTP_BASE_URL": "https://h.example/api/v1"}

    assert find_hosts(settings(environ)).native == "https://h.example/api/v1"
