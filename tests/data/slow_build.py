"""Builds a cache of two classes, saying what it reads, and stops at the third dog: a process to wait for, or to kill.

python slow_build.py ROOT CACHE EDGE GO, where GO is a file that lets it go on
"""

import os
import sys
import time
from pathlib import Path

from elastic_search.data.cache import load
from elastic_search.data.folder import FolderSource
from elastic_search.recipes import Data

root, cache, edge, go = sys.argv[1:]
read, began = FolderSource.read, time.monotonic()


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")  # at once, as several threads do
    sys.stdout.flush()


def stopping(self, entry, edge):
    say("read", entry.name)
    # By name, as threads overtake one another: ten cats and two dogs are read.
    while entry.name.startswith("dog") and entry.name > "dog/1.png" and not Path(go).exists():
        if time.monotonic() - began > 60:
            os._exit(1)  # whoever waits for this process learns that it has ended
        time.sleep(0.02)
    return read(self, entry, edge)


FolderSource.read = stopping
found = load(Data(root), int(edge), Path(cache), watch=lambda done, total: say("watch", done, total))
say("key", found.about.key)
