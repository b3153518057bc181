"""A list with two ends."""

from collections import deque  # noqa: F401
