"""Learning engines of the user's own do not take the names of Auto-Dev's own proposers."""

import grpc
import pytest

from autodev_learning.proposers.remote import engine_makers
from autodev_runtime.extensions.remote import AskingOptions, Extension


@pytest.mark.parametrize("name", ["search", "case_bank", "llm", "llm-small"])
async def test_a_name_that_is_taken_is_refused(name: str) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        with pytest.raises(ValueError, match=f"a proposer of Auto-Dev's own has this name: {name}"):
            engine_makers({name: Extension(name, channel, AskingOptions())}, 1.0)


async def test_any_other_is_a_proposer() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        assert "llms" in engine_makers({"llms": Extension("llms", channel, AskingOptions())}, 1.0)
