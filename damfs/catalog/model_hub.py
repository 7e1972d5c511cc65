"""Whether the hub that models are fetched from can be reached, and has one: asked once, before anything is fetched.

The hub's own client asks for a dozen files one after the other and tries each again: where nobody answers that takes
minutes. Blocks for `PATIENCE_S` at most.
"""

from __future__ import annotations

import os

from damfs.errors import ModelUnavailable

PATIENCE_S = 10.0
ELSE = "or set model.name to the directory of a model"


def is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def check(name: str) -> None:
    """Raises ModelUnavailable."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        HfApi(endpoint=constants.ENDPOINT).model_info(_repository(name), timeout=PATIENCE_S)
    except GatedRepoError as error:
        raise ModelUnavailable(
            f'model "{name}" is given to those only who are logged in there: log in, {ELSE}'
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(f'model "{name}" is not known to the hub; correct model.name, {ELSE}') from error
    except Exception as error:  # its client raises errors of several libraries
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelUnavailable(
            f'model "{name}" is not on this machine and its hub does not answer ({reason[:160]}): '
            f"try again with a network, {ELSE}"
        ) from error


def _repository(name: str) -> str:
    """As sentence-transformers understands a bare name."""
    return name if "/" in name else f"sentence-transformers/{name}"
