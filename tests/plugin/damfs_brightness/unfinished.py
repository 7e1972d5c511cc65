"""A processor that cannot even be loaded: what it needs is not installed."""

from __future__ import annotations

import damfs_no_such_package  # type: ignore[import-not-found]  # that is the point

from damfs.core.processors.processor import Processor


class Unfinished(Processor):
    needs = damfs_no_such_package.NEEDS
