"""Finds who calls from the call's `authorization: Bearer ...`, and from nothing else."""

from typing import TYPE_CHECKING

from autodev_gateway.identity.configured import ConfiguredKeys
from autodev_gateway.identity.issued import IssuedKeys
from autodev_gateway.identity.texts import digest_of
from autodev_runtime.errors import Unauthenticated
from autodev_runtime.identity import Caller, Identity, Metadata

if TYPE_CHECKING:
    from autodev_gateway.identity.tokens import Tokens

AUTHORIZATION = "authorization"
SCHEME = "bearer "
DOTS_OF_TOKEN = 2


class Bearers:
    """Everybody who may come in by the clients' door."""

    def __init__(
        self, configured: ConfiguredKeys, issued: IssuedKeys | None = None, tokens: "Tokens | None" = None
    ) -> None:
        self._configured = configured
        self._issued = issued
        self._tokens = tokens

    async def authenticate(self, metadata: Metadata) -> Identity:
        """The identity of the call's credential. What else the metadata states is not looked at.

        Raises Unauthenticated; Unavailable where it cannot be told whether a key is good.
        """
        for name, value in metadata:
            if name == AUTHORIZATION and isinstance(value, str):
                return await self._caller(_text(value))
        raise Unauthenticated("the call has no API key: send the metadata 'authorization: Bearer <key>'")

    async def _caller(self, text: str) -> Caller:
        digest = digest_of(text)
        caller = self._configured.find(digest)
        if caller is None and self._tokens is not None and text.count(".") == DOTS_OF_TOKEN:
            return await self._tokens.caller(text, digest)
        if caller is None and self._issued is not None:
            caller = await self._issued.find(digest)
        if caller is None:
            raise Unauthenticated("the API key is not known")
        return caller


def _text(header: str) -> str:
    if header[: len(SCHEME)].lower() != SCHEME:
        raise Unauthenticated("the authorization is not of the form 'Bearer <key>'")
    return header[len(SCHEME) :]
