"""Read before everything else of the tests: what they and the processes they start do with byte code."""

import os
import sys

# Images of Python set it, since nobody imports a second time in a container. Here services start hundreds of times, and
# compiling their libraries is more than half of what a start costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
