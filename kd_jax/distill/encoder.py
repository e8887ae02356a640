"""A pretrained encoder from the Hugging Face library, read from a folder, that turns single words into vectors.

transformers and torch are used directly. model2vec, the library that distils static models, was looked at (0.10.0):
it returns a model for whole texts rather than a table of words, always takes the pieces into its vocabulary and its
PCA, takes the mean over all positions, [CLS] and [SEP] included, scales rows by rank, drops words that its tokenizer
spells alike, and pins transformers below 5.4.
"""

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from kd_jax.errors import InputError, brief
from kd_jax.runtime.files import check_readable, kind_of, read_json

LONGEST = 128  # pieces of a word that are read; only debris of formulas has more
_BATCH = 256
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")


@dataclass(frozen=True)
class Encoder:
    """An encoder and its tokenizer.

    Attributes:
        path: of its folder.
        width: size of its hidden states, H.
        tokenizer: of transformers.
        model: of transformers, in float32 on the CPU.
    """

    path: Path
    width: int
    tokenizer: Any
    model: Any

    def words(
        self, forms: Sequence[str], advance: Callable[[int], None] = lambda _: None
    ) -> tuple[Float32[np.ndarray, "N H"], Bool[np.ndarray, "N"]]:
        """Words, each encoded alone.

        Args:
            forms: N surface forms.
            advance: called with the number of words done since the last call.

        Returns:
            The mean of the last layer over each word's pieces, without the tokenizer's special tokens and unknown
            pieces, [N, H], 0 where a word has no known piece; and whether it has one, [N].

        Raises:
            InputError: for an encoder that gives numbers that are not finite.
        """
        # A blank before the word: byte-level tokenizers spell a word within a text so; the others ignore it.
        longest = min(LONGEST, getattr(self.model.config, "max_position_embeddings", None) or LONGEST)
        encoded = self.tokenizer(
            [f" {form}" for form in forms], truncation=True, max_length=longest, return_special_tokens_mask=True
        )
        unknown = self.tokenizer.unk_token_id
        ids = encoded["input_ids"]
        used = [
            [not special and piece != unknown for piece, special in zip(pieces, marks, strict=True)]
            for pieces, marks in zip(ids, encoded["special_tokens_mask"], strict=True)
        ]
        return self._means(ids, used, advance)

    def _means(
        self, ids: Sequence[Sequence[int]], used: Sequence[Sequence[bool]], advance: Callable[[int], None]
    ) -> tuple[Float32[np.ndarray, "N H"], Bool[np.ndarray, "N"]]:
        import torch  # noqa: PLC0415 - an extra

        means = np.zeros((len(ids), self.width), np.float32)
        known = np.array([any(row) for row in used], bool)
        # Rows of one length at a time need no padding, so a word's vector does not depend on its neighbours' lengths.
        by_length = sorted(np.flatnonzero(known).tolist(), key=lambda i: len(ids[i]))
        advance(int((~known).sum()))
        for _, group in groupby(by_length, key=lambda i: len(ids[i])):
            rows = [*group]
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                with torch.inference_mode():
                    hidden = self.model(input_ids=torch.tensor([ids[i] for i in batch])).last_hidden_state.numpy()
                weight = np.array([used[i] for i in batch], np.float32)[..., None]
                means[batch] = (hidden * weight).sum(1) / weight.sum(1)
                advance(len(batch))
        if not np.isfinite(means).all():
            raise InputError(f"{self.path}: gives numbers that are not finite; its weights are damaged: get it anew")
        return means, known


def edges(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before a text and after it, such as [CLS] and [SEP]."""
    letter = tokenizer(" a", return_special_tokens_mask=True)
    marks = letter["special_tokens_mask"]
    return letter["input_ids"][: marks.index(0)], letter["input_ids"][len(marks) - marks[::-1].index(0) :]


def open_encoder(path: Path) -> Encoder:
    """An encoder from its folder; nothing is fetched from anywhere, no pickle is read, no code of the folder is run.

    Args:
        path: a folder with config.json, weights in safetensors and a tokenizer, as `save_pretrained` writes it.

    Raises:
        InputError: where transformers or torch is not installed, or the folder lacks one of these or holds another
            kind of model.
    """
    tokenizer, model, missing = open_pretrained(path, "AutoModel")
    # Weights that are missing would be drawn at random; the pooler's are not used.
    if missing:
        raise InputError(f"{path}: its weights lack {len(missing)} arrays, such as {missing[0]}; get it anew")
    return Encoder(path, int(model.config.hidden_size), tokenizer, model)


def open_pretrained(path: Path, kind: str) -> tuple[Any, Any, list[str]]:
    """A model of transformers and its tokenizer, from their folder.

    Args:
        path: the folder.
        kind: the class of transformers that reads it, such as "AutoModel".

    Returns:
        Tokenizer; model, in float32 on the CPU, for reading; names of arrays that the folder lacks, the pooler's aside.

    Raises:
        InputError: as of `open_encoder`.
    """
    _check(path)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch  # noqa: PLC0415 - an extra
        import transformers  # noqa: PLC0415 - an extra
    except ImportError as fault:
        raise InputError(f"{fault.name}: not installed, which encoders need: pip install 'kd_jax[hf]'") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        if getattr(tokenizer, "add_prefix_space", True) is False:  # byte-level: a word is spelt as within a text
            tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True, add_prefix_space=True)
        model, report = getattr(transformers, kind).from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, in words that say which
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError) as fault:
        raise InputError(f"{path}: transformers can't read it: {brief(fault)}") from None
    except Exception as fault:  # safetensors and tokenizers raise kinds of their own, which derive from Exception only
        raise InputError(f"{path}: damaged: {brief(fault)}; get it anew") from None
    if report["mismatched_keys"]:
        name, kept, wanted = min(report["mismatched_keys"])
        raise InputError(
            f"{path}: its weights are not those of its config.json: {name} is {_shape(kept)} where that asks for"
            f" {_shape(wanted)}; get both anew"
        )
    if model.config.is_encoder_decoder or "input_ids" not in inspect.signature(model.forward).parameters:
        raise InputError(f"{path}: a {model.config.model_type}, no encoder of text; give one such as a BERT")
    return tokenizer, model.eval(), sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))


def _shape(size: Sequence[int]) -> str:
    return " x ".join(map(str, size)) or "one number"


def _check(path: Path) -> None:
    """Say which file is missing before transformers, which would look for it elsewhere, is even imported."""
    if (kind := kind_of(path)) != "folder":
        raise InputError(f"{path}: {'no folder' if kind else 'no such folder'}; give the folder of a downloaded model")
    try:
        files = {entry.name for entry in path.iterdir() if kind_of(entry)}  # links that lead nowhere are no files
    except OSError as fault:
        raise InputError(f"{path}: can't be read: {fault.strerror or fault}; ask its owner, or chmod u+rx") from None
    check_readable(path)
    try:
        config = read_json(path / "config.json")
    except FileNotFoundError:
        raise InputError(f"{path}: no config.json, so it is no model of transformers; give its folder") from None
    except (OSError, ValueError) as fault:
        raise InputError(f"{path / 'config.json'}: can't be read: {brief(fault)}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path / 'config.json'}: no object; get it anew")
    if not any(name.endswith(".safetensors") for name in files):
        pickled = "pytorch_model.bin is a pickle, which is never loaded; " if "pytorch_model.bin" in files else ""
        raise InputError(f"{path}: no weights (model.safetensors); {pickled}get it in safetensors")
    if not files & set(_TOKENIZERS):
        raise InputError(f"{path}: no tokenizer ({', '.join(_TOKENIZERS[:2])}, ...); get it whole")
