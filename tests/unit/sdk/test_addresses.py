"""Where a credential may travel in plain text."""

from typing import Any

import pytest

from autodev_sdk import AutoDevClient
from autodev_sdk.addresses import stays_here
from autodev_sdk.channel import AddressUnclear, PlainTextRefused

HERE = (
    "127.0.0.1:50051",
    "127.0.0.1:65535",
    "localhost:50051",
    "[::1]:50051",
    "ipv4:127.0.0.1:1,127.0.0.2:2",
    "ipv6:[::1]:1",
    "dns:///localhost:50051",
    "unix:/run/gateway",
    "unix-abstract:gateway",
)
ELSEWHERE = (
    "mesh.example:443",
    "dns:///gateway:50051",
    "dns://127.0.0.1/gateway:50051",
    "10.0.0.1:50051",
    "0.0.0.0:50051",
    "ipv4:127.0.0.1:1,10.0.0.1:2",
    "localhost.example:1",
    "127.0.0.1.example:1",
)
UNCLEAR = (
    "",
    "127.0.0.1",
    "mesh.example",
    "mesh.example:",
    "mesh.example:https",
    "127.0.0.1:65536",
    "ipv4:127.0.0.1:1,127.0.0.2:99999",
    "::1",
    "[::1]",
    "http://127.0.0.1:50051",
    "https://mesh.example:443",
    "grpc://mesh.example:443",
    "mesh.example:443/path",
    "dns:///mesh.example",
    "ipv4:127.0.0.1:1,127.0.0.2",
)


@pytest.mark.parametrize("target", HERE)
async def test_plain_text_is_spoken_on_this_machine(target: str) -> None:
    assert stays_here(target)
    async with AutoDevClient(target, "key"):
        pass


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_plain_text_to_another_machine_is_refused(target: str) -> None:
    assert not stays_here(target)
    with pytest.raises(PlainTextRefused, match="not on this machine"):
        AutoDevClient(target, "key")


@pytest.mark.parametrize("target", UNCLEAR)
async def test_an_address_without_a_port_or_with_a_foreign_scheme_is_told_apart(target: str) -> None:
    ways: list[dict[str, Any]] = [{}, {"root_certificates": b""}, {"plain_text_anywhere": True}]
    for options in ways:
        with pytest.raises(AddressUnclear, match="give host:port, without a scheme"):
            AutoDevClient(target, "key", **options)


async def test_certificates_or_a_word_of_the_callers_let_it_go_there() -> None:
    async with AutoDevClient("mesh.example:443", "key", b""):
        pass
    async with AutoDevClient("mesh.example:443", "key", plain_text_anywhere=True):
        pass
