"""Keeps what gRPC prints by itself off the terminal, where commands say in one line what went wrong."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

VERBOSITY = "GRPC_VERBOSITY"


@contextmanager
def grpc_silent() -> Iterator[None]:
    """Have gRPC print nothing in this process if it is imported within the block, unless the environment says what.

    It reads the variable as it is imported. Afterwards the variable is gone again: the services of a mesh that is
    started here are to have its lines in their logs.
    """
    if VERBOSITY in os.environ:
        yield
        return
    os.environ[VERBOSITY] = "NONE"
    try:
        yield
    finally:
        del os.environ[VERBOSITY]
