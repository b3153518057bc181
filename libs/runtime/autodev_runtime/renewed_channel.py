"""A channel that connects anew when its certificate is renewed, and drops no call by it.

gRPC's Python channels keep the certificate that they were made with. So a renewal makes another channel: calls that
begin from then on go there, those under way end where they are, and the last of them closes what it was on.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import grpc

if TYPE_CHECKING:
    from autodev_runtime.certificates import Certificates, Material

Connect = Callable[["Material"], grpc.aio.Channel]


class _Line:
    """One channel, and how many calls are on it."""

    def __init__(self, material: "Material", channel: grpc.aio.Channel) -> None:
        self.material = material
        self.channel = channel
        self.closing: asyncio.Task[None] | None = None
        self._calls = 0
        self._retired = False

    def carry(self, call: Any) -> None:
        """Count a call until it is done."""
        self._calls += 1
        call.add_done_callback(self._done)

    def retire(self) -> None:
        """Close when no call is left."""
        self._retired = True
        self._close_if_idle()

    def _done(self, _: Any) -> None:
        self._calls -= 1
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._retired and self._calls == 0 and self.closing is None:
            self.closing = asyncio.ensure_future(self.channel.close())


class RenewedChannel:
    """Serves as a `grpc.aio.Channel`. `connect` makes the channel for a certificate."""

    def __init__(self, certificates: "Certificates", connect: Connect) -> None:
        self._certificates = certificates
        self._connect = connect
        self._line = self._new_line()
        self._before: list[_Line] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def line(self) -> _Line:
        """Where calls go now."""
        if self._line.material is not self._certificates.material:
            before, self._line = self._line, self._new_line()
            before.retire()
            self._before = [line for line in (*self._before, before) if line.closing is None or not line.closing.done()]
        return self._line

    def _new_line(self) -> _Line:
        material = self._certificates.material
        return _Line(material, self._connect(material))

    async def close(self, grace: float | None = None) -> None:
        """Close it, and what a renewal left open because of its calls."""
        await asyncio.gather(*(line.channel.close(grace) for line in (self._line, *self._before)))  # noqa: TID251 -- all must close

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The present channel's state."""
        return self.line().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the present channel's state is another."""
        await self.line().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the present channel is connected."""
        await self.line().channel.channel_ready()

    def unary_unary(self, *args: Any, **options: Any) -> "_Multicallable":
        """A method, as `grpc.aio.Channel` gives it."""
        return _Multicallable(self, "unary_unary", args, options)

    def unary_stream(self, *args: Any, **options: Any) -> "_Multicallable":
        """A method, as `grpc.aio.Channel` gives it."""
        return _Multicallable(self, "unary_stream", args, options)

    def stream_unary(self, *args: Any, **options: Any) -> "_Multicallable":
        """A method, as `grpc.aio.Channel` gives it."""
        return _Multicallable(self, "stream_unary", args, options)

    def stream_stream(self, *args: Any, **options: Any) -> "_Multicallable":
        """A method, as `grpc.aio.Channel` gives it."""
        return _Multicallable(self, "stream_stream", args, options)


class _Multicallable:
    def __init__(self, channel: RenewedChannel, kind: str, args: Any, options: Any) -> None:
        self._channel = channel
        self._kind = kind
        self._args = args
        self._options = options
        self._line = channel.line()
        self._method: bytes = args[0].encode()
        """Its name, as grpc.aio's own have it."""
        self._call = self._on(self._line)

    def _on(self, line: _Line) -> Any:
        return getattr(line.channel, self._kind)(*self._args, **self._options)

    def __call__(self, *args: Any, **options: Any) -> Any:
        line = self._channel.line()
        if line is not self._line:
            self._line, self._call = line, self._on(line)
        call = self._call(*args, **options)
        line.carry(call)
        return call
