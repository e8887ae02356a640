"""The words that get vectors, and how each is mostly written: from corpora, from raw text, from a list of words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from kd_jax.corpora.overlap import key, keys
from kd_jax.data.vocab import normalise
from kd_jax.distill.raw_text import document_sentences
from kd_jax.errors import InputError
from kd_jax.runtime.files import kind_of
from kd_jax.settings import WordConfig
from kd_jax.structs import Corpus, Sentence
from kd_jax.tagging.reading import Document, documents, lines_of
from kd_jax.tagging.tokenizer import Style, style_of


def corpus_forms(corpora: Iterable[Corpus], splits: Sequence[str]) -> Counter[str]:
    """How often each surface form occurs in some splits of corpora; a split that a corpus lacks is empty."""
    return Counter(
        token
        for corpus in corpora
        for split in splits
        for sentence in corpus.splits.get(split, ())
        for token in sentence.tokens
    )


def styles_of(corpora: Iterable[Corpus]) -> tuple[Style, ...]:
    """How text is cut for taggers of these corpora, as their training sentences show; "fine" where there are none."""
    styles = (style_of(sentence.tokens for sentence in corpus.splits.get("train", ())) for corpus in corpora)
    return tuple(dict.fromkeys(styles)) or ("fine",)


def text_forms(path: Path, styles: Sequence[Style], unseen: Iterable[Corpus] = ()) -> tuple[Counter[str], int]:
    """How often each surface form occurs in raw text, which is read block by block, however long its paragraphs are.

    Args:
        path: a UTF-8 file (text, or as of `kd_jax.distill.raw_text` JSONL or CoNLL), or a folder whose .txt files are
            read in alphabetical order.
        styles: how it is cut into tokens; with several, forms of each count.
        unseen: corpora whose test sentences are left out of the text, compared as `kd_jax.corpora.overlap` does.

    Returns:
        The counts, and how many sentences were left out (in the first style).

    Raises:
        InputError: for a path that isn't there, a folder without .txt files, what is no UTF-8 or no text; naming file
            and line of JSONL or CoNLL that can't be read.
    """
    test_keys = {of_sentence for corpus in unseen for of_sentence in keys(corpus.splits.get("test", ()))}
    forms: Counter[str] = Counter()
    left_out = 0
    for document in _text_files(path):
        for style, sentence in document_sentences(document, styles):
            if key(Sentence(sentence, ())) in test_keys:
                left_out += style == styles[0]
            else:
                forms.update(sentence)
    return forms, left_out


def listed_forms(path: Path) -> Counter[str]:
    """The words of a file, one a line, each counted as often as it occurs; empty lines are ignored.

    Raises:
        InputError: naming file and line, for a blank within a word, which no token has; for a file without words.
    """
    forms: Counter[str] = Counter()
    for number, line in filter(None, lines_of(Document(str(path), path, "text"))):
        word = (line.removeprefix("\ufeff") if number == 1 else line).strip()
        if len(word.split()) > 1:
            raise InputError(f"{path}:{number}: {word[:40]!r} is more than one word; give one word a line")
        if word:
            forms[word] += 1
    if not forms:
        raise InputError(f"{path}: holds no word; give one word a line")
    return forms


def spellings(forms: Counter[str], words: WordConfig) -> dict[str, str]:
    """The commonest surface form behind each key by which word vectors are looked up.

    Args:
        forms: how often each surface form occurs.
        words: how forms become keys.

    Returns:
        By key: of the key's forms the most frequent, of equals the first by alphabet. Keys come by the falling count of
        all their forms, then by alphabet, so that equal counts give equal files.
    """
    counts: Counter[str] = Counter()
    best: dict[str, tuple[int, str]] = {}
    for form, count in forms.items():
        word = normalise(form, words)
        counts[word] += count
        best[word] = min(best.get(word, (0, "")), (-count, form))
    return {word: best[word][1] for word in sorted(counts, key=lambda word: (-counts[word], word))}


def _text_files(path: Path) -> list[Document]:
    if kind_of(path) == "folder":
        files = sorted(file for file in path.rglob("*.txt") if file.is_file())
        if not files:
            raise InputError(f"{path}: holds no .txt file; name a file, or a folder of .txt files")
        return [Document(str(file), file, "text") for file in files]
    return documents([path], None)
