"""Square roots."""

import math  # noqa: F401
