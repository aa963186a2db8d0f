"""Builds a cache, saying what it reads, and stops after twelve images: a process to wait for, or to kill.

python slow_build.py ROOT CACHE EDGE GO, where GO is a file that lets it go on
"""

import itertools
import sys
import time
from pathlib import Path

from elastic_search.data.cache import load
from elastic_search.data.folder import FolderSource
from elastic_search.recipes import Data

root, cache, edge, go = sys.argv[1:]
read, number = FolderSource.read, itertools.count()


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")  # at once, as several threads do
    sys.stdout.flush()


def stopping(self, entry, edge):
    say("read", entry.name)
    while next(number) >= 12 and not Path(go).exists():
        time.sleep(0.02)
    return read(self, entry, edge)


FolderSource.read = stopping
found = load(Data(root), int(edge), Path(cache), watch=lambda done, total: say("watch", done, total))
say("key", found.about.key)
