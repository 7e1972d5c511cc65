"""What a question in words means to the model that answers. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from damfs.catalog.spaces import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Meant:
    """``vector`` may be compared with those of ``space.meeting`` (pictures) and of ``space.words`` (texts)."""

    space: Space
    vector: NDArray[np.float32]
