"""What travels over the control socket about models. Pure; see `wire`."""

from __future__ import annotations

from msgspec import Struct


class GetModels(Struct, frozen=True, tag="models"):
    """Which models there are, which answers, how far the new one is."""


class UseModel(Struct, frozen=True, tag="use-model"):
    """Load and try a model; if it works, name it in the settings and embed the library anew with it."""

    name: str


class DropModel(Struct, frozen=True, tag="drop-model"):
    """Remove the vectors of a model that is not in use, by its name or the id of its space."""

    name: str


Modelling = GetModels | UseModel | DropModel
