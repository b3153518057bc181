"""A model that answers at once: each chat completion is another program. Run by itself; it prints its port.

It speaks as much of HTTP and of OpenAI's protocol as one client library needs, in one write an answer.
"""

import asyncio
import itertools
import json
from typing import Final

HOST: Final = "127.0.0.1"
NUMBERS: Final = itertools.count(1)


def answer() -> bytes:
    """A completion, whose program gives a number that none before gave."""
    program = f"```python\ndef f():\n    return {next(NUMBERS)}\n```"
    message = {"role": "assistant", "content": program}
    completion = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "instant",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    body = json.dumps(completion).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request after the other, for as long as the client keeps the connection."""
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except asyncio.IncompleteReadError:
            writer.close()
            return
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0))
        writer.write(answer())
        await writer.drain()


async def main() -> None:
    server = await asyncio.start_server(serve, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
