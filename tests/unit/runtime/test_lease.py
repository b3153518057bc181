"""How long a credential is good: to the moment, and no longer than anybody said."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodev_runtime.errors import Unauthenticated
from autodev_runtime.lease import Lease

END_S = 1_700_000_000.0


@pytest.mark.parametrize(("off_s", "ended"), [(-0.001, False), (0.0, True), (0.001, True)])
def test_a_credential_is_good_before_its_end_and_not_at_it(
    monkeypatch: pytest.MonkeyPatch, off_s: float, ended: bool
) -> None:
    monkeypatch.setattr("autodev_runtime.lease.time", SimpleNamespace(time=lambda: END_S + off_s))
    assert Lease(END_S).ended is ended
    assert not Lease().ended


@given(st.none() | st.floats(0, 1e9), st.lists(st.floats(0, 1e9), min_size=1, max_size=5))
def test_of_all_ends_that_are_said_the_first_holds(begun_with: float | None, said: list[float]) -> None:
    lease = Lease(begun_with)
    for each in said:
        lease.shorten(each)
    assert lease.expires_at == min([*said, *([] if begun_with is None else [begun_with])])


async def test_who_ends_a_credential_ends_the_calls_that_hold_it() -> None:
    lease, begun = Lease(), asyncio.Event()

    async def call() -> None:
        async with lease.held():
            begun.set()
            await asyncio.Event().wait()

    calling = asyncio.create_task(call())
    await begun.wait()
    lease.end()
    async with asyncio.timeout(10):
        with pytest.raises(Unauthenticated) as told:
            await calling
    assert (told.value.reason, lease.ended) == ("CREDENTIAL_ENDED", True)
