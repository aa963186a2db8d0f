"""The search: proposals inside the band, a study on disk, and the ask–train–tell loop. No torch.

The room is named as the function that it is for, so it can be called: ``elastic_search.search(space, trials=20)`` is
``elastic_search.search.run.search``, whichever of the two was imported first.
"""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *args: Any, **settings: Any) -> Any:
        try:
            from elastic_search.search.run import search
        except ModuleNotFoundError as error:
            from elastic_search.errors import missing_extra

            raise missing_extra(str(error.name), "search") from None
        return search(*args, **settings)


search = sys.modules[__name__]
search.__class__ = _Room
