"""Texts that tell why a place is empty, by a number made of the text: for whoever reads the file that holds one.

Concurrency: any thread. Crash rule: nothing here is kept; a file whose text was forgotten is gone (its place has it).
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict

FIRST = 1 << 36
LAST = FIRST + (1 << 32)
KEPT = 256


class Complaints:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: OrderedDict[int, str] = OrderedDict()

    def add(self, text: str) -> int:
        number = FIRST + zlib.crc32(text.encode("utf-8", "backslashreplace"))
        with self._lock:
            self._texts[number] = text
            self._texts.move_to_end(number)
            while len(self._texts) > KEPT:
                self._texts.popitem(last=False)
        return number

    def text(self, number: int) -> str | None:
        return self._texts.get(number)


def is_complaint(number: int) -> bool:
    return FIRST <= number < LAST
