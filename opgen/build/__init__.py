"""Last stages: sources become libraries, made or found (Tree, Toolchain -> Plan -> files)."""

import sys
from types import ModuleType
from typing import Any


class _Stage(ModuleType):
    """This folder which, called as opgen.build(...), is opgen.load."""

    def __call__(self, *sources: Any, **options: Any) -> Any:
        return sys.modules["opgen"].load(*sources, **options)


sys.modules[__name__].__class__ = _Stage
