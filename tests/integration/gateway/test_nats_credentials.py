"""The event log on a NATS server that knows accounts by JWT: credentials files, how they end, and how they change."""

import asyncio
import logging
import os
import re
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from autodev_gateway.event_log.jetstream.connection import UnfitServer
from autodev_gateway.event_log.jetstream.credentials import UnusableCredentials, credentials_in
from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import failed, publish, read, started, until
from tests.integration.gateway.test_jetstream import server
from tests.mesh import eventually, free_ports
from tests.nats_accounts import Key, Operator
from tests.storage import Storage

LIFE_S = 4.0
CONNECT_S = "autodev_gateway.event_log.jetstream.connection.CONNECT_S"


def write(path: Path, text: str) -> Path:
    """Write a secret as operators do: another file in its place."""
    fresh = path.with_suffix(".fresh")
    fresh.touch(0o600)
    fresh.write_text(text)
    os.replace(fresh, path)
    return path


async def is_published(client: AutoDevClient, number: int) -> None:
    """Publish, again where the log is away meanwhile."""

    async def done() -> bool:
        try:
            return bool(await publish(client, [failed(number)]))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False

    await eventually(done, "the event is published")


async def test_a_credentials_file_opens_the_log_and_one_of_anothers_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator()
    ours, theirs = operator.credentials(), Operator().credentials()
    with server(access=operator.config) as nats:
        storage = Storage(tmp_path, stream=nats.stream())
        file = write(tmp_path / "gateway.creds", ours)
        async with started(storage, nats_credentials_file=file) as gateway, gateway.client() as acme:
            await publish(acme, [failed(1)])
            assert len(await read(acme, 1, at=2)) == 1
        monkeypatch.setattr(CONNECT_S, 1.0)
        with pytest.raises(UnfitServer, match="could be reached"):
            async with started(storage, nats_credentials_file=write(file, theirs)):
                pass
    for secret in re.findall(r"^(?:ey|SU).*$", ours + theirs, re.MULTILINE):
        assert secret not in caplog.text


async def test_credentials_that_expire_are_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    operator = Operator()
    with server(access=operator.config) as nats:
        storage = Storage(tmp_path, stream=nats.stream())
        ends_s = int(time.time() + LIFE_S)
        file = write(tmp_path / "gateway.creds", operator.credentials(ends_s))
        renewing = asyncio.create_task(_renew(operator, file, ends_s))
        async with started(storage, nats_credentials_file=file) as gateway, gateway.client() as acme:
            in_time = time.time() < ends_s
            await is_published(acme, 1)
            # Where even the start took longer, what expired was refused, and the renewed taken.
            if in_time:
                await until(lambda: "connected to NATS again" in caplog.text, "it connects again")
                assert "user authentication expired" in caplog.text
            await is_published(acme, 2)
            assert len(await read(acme, 2, at=2)) == 2
        await renewing


async def _renew(operator: Operator, file: Path, at_s: float) -> None:
    await asyncio.sleep(at_s - time.time())
    write(file, operator.credentials())


async def test_a_file_that_is_half_written_while_nats_restarts_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    operator = Operator()
    with server(access=operator.config) as nats:
        storage = Storage(tmp_path, stream=nats.stream())
        file = write(tmp_path / "gateway.creds", operator.credentials())
        async with started(storage, nats_credentials_file=file) as gateway, gateway.client() as acme:
            await publish(acme, [failed(1)])
            fresh = operator.credentials()
            nats.kill()
            write(file, fresh[: fresh.index("-----BEGIN USER")])
            nats.start()
            await until(lambda: "lacks the seed" in caplog.text, "the file is complained of")
            write(file, fresh)
            await is_published(acme, 2)


def whole() -> str:
    return Operator().credentials()


WRONG: dict[str, Any] = {
    "lacks the user's JWT": lambda: whole().replace("------END NATS", ""),
    "lacks the seed": lambda: whole()[: whole().index("-----BEGIN USER")],
    "no seed of a user's key": lambda: re.sub(r"^SU.{4}", "SUAAAA", whole(), flags=re.MULTILINE),
}


@pytest.mark.parametrize("told", WRONG)
async def test_a_file_that_is_none_is_refused_at_the_start(tmp_path: Path, told: str) -> None:
    file = write(tmp_path / "gateway.creds", WRONG[told]())
    (port,) = free_ports(1)
    stated = {"event_log": "jetstream", "nats_url": f"nats://127.0.0.1:{port}"}
    with pytest.raises(UnfitServer, match=told):
        async with started(Storage(tmp_path), **stated, nats_credentials_file=file):
            pass


async def test_a_file_that_is_missing_is_refused_at_the_start(tmp_path: Path) -> None:
    stated = {"event_log": "jetstream", "nats_url": "nats://127.0.0.1:1"}
    with pytest.raises(UnfitServer, match="cannot be read: FileNotFoundError"):
        async with started(Storage(tmp_path), **stated, nats_credentials_file=tmp_path / "none"):
            pass


def test_a_seed_is_read_as_nats_writes_it() -> None:
    # The example of NATS' own documentation, with lines ending as they do on Windows.
    text = (
        "-----BEGIN NATS USER JWT-----\r\neyJ0.eyJq.sig-_\r\n------END NATS USER JWT------\r\n"
        "-----BEGIN USER NKEY SEED-----\r\nSUAOY5JZ2WJKVR4UO2KJ2P3SW6FZFNWEOIMAXF4WZEUNVQXXUOKGM55CYE\r\n"
        "------END USER NKEY SEED------\r\n"
    )
    found = credentials_in(text)
    assert found.jwt == "eyJ0.eyJq.sig-_"
    assert (
        Key("user", found.key.private_bytes_raw()).public == "UDXB2VMLXPASAJ7ZDTKYNQ7QOCFWSGB4FOMYQQ25HQWSAF7ZQJEBSQSW"
    )
    assert "SU" not in repr(found)
    for kind in ("account", "operator"):
        seed = Key(kind).seed
        with pytest.raises(UnusableCredentials):
            credentials_in(re.sub(r"SU\w+", seed, text))
