"""The battery: each module of this folder lists its programs in PROGRAMS."""

import importlib
import pkgutil

from tests.security.program import Program


def all_programs() -> list[Program]:
    """Every program of every module here. Their names differ."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    programs: list[Program] = [program for module in modules for program in module.PROGRAMS]
    names = [program.name for program in programs]
    assert len(set(names)) == len(names), "two programs have one name"
    return programs
