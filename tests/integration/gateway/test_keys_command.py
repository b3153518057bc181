"""`autodev keys` on a gateway, and on its database where nobody has a key yet."""

import asyncio
import json
import stat
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autodev.gateway.v1 import key_service_pb2 as pb
from autodev_cli.commands.keys import all_keys
from autodev_gateway.identity.key_servicer import KeyServicer
from autodev_gateway.settings import Mode
from autodev_runtime.errors import Unavailable
from autodev_runtime.migrations import upgrade
from autodev_sdk import AutoDevClient
from tests.integration.gateway.parts import Running, started
from tests.storage import Storage

RUN_S = 60.0


async def keys(storage: Storage, *arguments: str, **settings: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "autodev_cli", "keys", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": "", "HOME": str(storage.directory), "LOGNAME": "ada", **storage.settings, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(RUN_S):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def as_json(storage: Storage, *arguments: str) -> Any:
    status, out, err = await keys(storage, *arguments, "-o", "json")
    assert status == 0, err
    return json.loads(out)


def at(gateway: Running, key: str) -> tuple[str, ...]:
    return "--address", gateway.public_address, "--api-key", key


async def test_the_first_key_is_made_offline_and_the_others_with_it(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "first.key"
    place = ("--data-dir", str(storage.directory), "--tenant", "acme")
    async with storage.open("gateway") as database:
        await upgrade(database, "autodev_gateway")
    await keys_saved(storage, file, "create", "bob", "--role", "operator", "--offline", *place)
    async with started(storage, mode=Mode.PRODUCTION) as gateway:
        first = at(gateway, file.read_text().strip())
        made = await as_json(storage, "create", "ci", "--read-only", "--expires-in", "90d", *first)
        rotated = await as_json(storage, "rotate", made["key"]["id"], "--overlap", "0s", *first)
        revoked = await as_json(storage, "revoke", rotated["key"]["id"], *first)
        assert revoked["revoked_at"]
        listed = (await as_json(storage, "list", *first))["keys"]
        assert [key["subject"] for key in listed] == ["ci", "ci", "bob"]
        assert [key["created_by"] for key in listed] == ["bob", "bob", "offline:ada"]
        status, out, _ = await keys(storage, "list", *first)
        assert (status, out.count("revoked"), out.count("expired"), out.count("good")) == (0, 1, 1, 1)
        status, _, err = await keys(storage, "list", *at(gateway, made["text"]))
        assert status == 1
        assert "UNAUTHENTICATED" in err


async def test_a_key_made_offline_counts_by_the_gateways_setting(storage: Storage) -> None:
    async with storage.open("gateway") as database:
        await upgrade(database, "autodev_gateway")
    create = ("create", "bob", "--offline", "--data-dir", str(storage.directory))
    with_setting = partial(keys, storage, *create)
    assert (await with_setting(AUTODEV_GATEWAY_MAX_KEYS_PER_TENANT="1"))[0] == 0
    status, _, err = await with_setting(AUTODEV_GATEWAY_MAX_KEYS_PER_TENANT="1")
    assert status == 1
    assert "the workspace has 1 keys" in err
    status, _, err = await with_setting(AUTODEV_GATEWAY_MAX_KEYS_PER_TENANT="0")
    assert status == 1
    assert "AUTODEV_GATEWAY_MAX_KEYS_PER_TENANT: Input should be greater than or equal to 1" in err
    assert (await with_setting())[0] == 0


async def keys_saved(storage: Storage, file: Path, *arguments: str) -> None:
    status, out, err = await keys(storage, *arguments, "--save", str(file))
    assert status == 0, err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text().strip()
    assert len(text) >= 46
    assert text not in out
    assert err.startswith("in the gateway's database ")
    # A file that is there already is somebody's key, and none is made in vain.
    status, _, err = await keys(storage, *arguments, "--save", str(file))
    assert status == 1
    assert "File exists" in err
    assert file.read_text().strip() == text


@pytest.mark.parametrize("method", ["CreateKey", "RotateKey"])
async def test_a_text_that_was_lost_is_told_with_the_key_to_revoke_and_no_file_is_written(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    serve = getattr(KeyServicer, method)
    made: list[str] = []

    async def lost_once(self: KeyServicer, request: Any, context: Any) -> Any:
        answer = await serve(self, request, context)
        made.append(answer.key.id)
        if len(made) == 1:
            # gRPC's clients make the call again by themselves.
            raise Unavailable("as if the connection had been lost")
        return answer

    async with started(storage) as gateway, gateway.client() as acme:
        before = (await acme.keys.CreateKey(pb.CreateKeyRequest(request_id="k", subject="bob"))).key.id
        monkeypatch.setattr(KeyServicer, method, lost_once)
    async with started(storage) as gateway:
        asked = ("create", "ci") if method == "CreateKey" else ("rotate", before)
        file = tmp_path / "ci.key"
        status, out, err = await keys(storage, *asked, "--save", str(file), *at(gateway, gateway.key("acme")))
    assert (status, out, made) == (1, "", [made[0]] * 2)
    assert f"autodev keys revoke {made[0]}" in err
    assert not file.exists()


async def test_all_keys_are_listed_however_many(acme: AutoDevClient) -> None:
    for number in range(5):
        await acme.keys.CreateKey(pb.CreateKeyRequest(request_id=f"k{number}", subject="bob"))
    listed = await all_keys(acme, 2)
    assert len({key.id for key in listed.keys}) == 5
    assert not listed.next_page_token
