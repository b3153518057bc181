"""HTTP to a model's server, with what a server can do to us bounded."""

import contextlib
from collections.abc import AsyncIterator

import httpx2

CONNECT_S = 10.0


class AnswerTooLong(httpx2.ReadError):
    """The server sent more than an answer may have."""


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error where it is too long."""

    def __init__(self, stream: httpx2.AsyncByteStream, most_bytes: int) -> None:
        self._stream = stream
        self._left = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise AnswerTooLong("the model's server sent more than an answer may have")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx2.AsyncHTTPTransport):
    """Answers of at most so many bytes, as they are sent: a compressed one could be of any size once it is unpacked."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most_bytes = most_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise AnswerTooLong("the model's server sent a compressed answer, which it was asked not to")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._most_bytes)
        return response


@contextlib.asynccontextmanager
async def bounded_client(most_bytes: int, timeout_s: float) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of one question's calls. It follows no redirect: a key is for the address that it was given for."""
    timeout = httpx2.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
    async with httpx2.AsyncClient(
        transport=BoundedTransport(most_bytes), timeout=timeout, follow_redirects=False
    ) as client:
        yield client
