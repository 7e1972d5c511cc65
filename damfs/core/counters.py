"""Counts of what happened since the start, by name: the tests' and the operators' view of the work done.

Increments are single dict operations; loop's thread only. Shown in .damfs/stats as Prometheus text.
"""

from __future__ import annotations

from collections import Counter


class Counters(Counter[str]):
    def text(self) -> str:
        """Prometheus' text format: ``damfs_<name>_total``; a name may carry labels in braces."""
        lines = []
        for name, value in sorted(self.items()):
            bare, brace, labels = name.partition("{")
            lines.append(f"damfs_{bare}_total{brace}{labels} {value}")
        return "\n".join(lines) + "\n"
