"""The search: proposals inside the band, a study on disk, and the ask–train–tell loop. No torch.

This package has the same name as its main function, so it can be called: ``elastic_search.search(space, trials=20)``
is ``elastic_search.search.run.search``, whichever of the two was imported first.
"""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *args: Any, **settings: Any) -> Any:
        from elastic_search.search.run import search

        return search(*args, **settings)


search = sys.modules[__name__]
search.__class__ = _Room
