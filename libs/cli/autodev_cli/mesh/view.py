"""Shows a mesh's services, one line each."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.text import Text

from autodev_cli.mesh.layout import Ports
from autodev_cli.mesh.supervisor import State, Status
from autodev_cli.output import console, say_text
from autodev_sdk.visible import visible

_STYLES = {State.SERVING: "green", State.WAITING: "red", State.STOPPED: "dim"}

Report = Callable[[Status], None]


@contextmanager
def showing(ports: Ports, *, silent: bool = False) -> Iterator[Report]:
    """Within the block, what is reported is on the screen: lines that change on a terminal, else a line a change."""
    started = time.monotonic()
    if silent:
        yield lambda status: None
        return
    if not console().is_terminal:
        yield lambda status: _say(status, ports, time.monotonic() - started)
        return
    known: dict[str, Status] = {}
    with Live(console=console(), auto_refresh=False) as live:

        def report(status: Status) -> None:
            known[status.name] = status
            live.update(Text("\n").join(text_of(each, ports) for each in known.values()), refresh=True)

        yield report


def text_of(status: Status, ports: Ports) -> Text:
    """A service's line."""
    pid = f"pid {status.pid}" if status.pid else ""
    line = Text(f"{status.name:11} ")
    line.append(f"{status.state.value:9}", style=_STYLES.get(status.state, "yellow"))
    line.append(f" {ports.address(status.name):16} {pid:12}".rstrip())
    if status.restarts:
        line.append(f"  restarted {status.restarts}×", style="yellow")
    if status.note:
        line.append(f"  {visible(status.note)}", style="red")
    return line


def _say(status: Status, ports: Ports, seconds: float) -> None:
    if status.state is State.NOT_SERVING and not status.note:
        return
    line = text_of(status, ports)
    line.append(f"  {seconds:.1f} s")
    say_text(line)
