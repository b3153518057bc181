"""Variables that the services of a mesh read in vain."""

import importlib
from collections.abc import Mapping

from autodev_cli.mesh.layout import SERVICES


def ignored(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that begins like a service's settings and is none of them."""
    lines = []
    for service in SERVICES:
        stated = [name for name in environment if name.startswith(f"AUTODEV_{service.upper()}_")]
        # Importing what settings are made of takes a while, and most meshes of one machine have none.
        if stated:
            settings = getattr(
                importlib.import_module(f"autodev_{service}.settings"), f"{service.capitalize()}Settings"
            )
            lines += importlib.import_module("autodev_runtime.variables").unknown_variables(settings, stated)
    return lines
