"""Models small enough for tests: a CLIP with random weights, 280 kB, saved as a person's own model would be.

It ranks the same picture first; between pictures and words there is only noise.
"""

from __future__ import annotations

from pathlib import Path


def tiny_clip(directory: Path, seed: int = 0, dimension: int = 32) -> Path:
    """``directory`` is made. Imports torch: ten seconds in a fresh process."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = small | {"vocab_size": 514, "max_position_embeddings": 77, "bos_token_id": 512}
    text |= {"projection_dim": dimension, "eos_token_id": 513, "pad_token_id": 513}
    vision = small | {"image_size": 32, "patch_size": 8, "projection_dim": dimension}
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizerFast(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
    tokenizer.model_max_length = 77
    eyes = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    torch.manual_seed(seed)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=dimension)
    CLIPModel(config).save_pretrained(directory)
    CLIPProcessor(eyes, tokenizer).save_pretrained(directory)
    return directory
