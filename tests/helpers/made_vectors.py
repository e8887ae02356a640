"""Files of word vectors in every form that is read, made of the same words and numbers."""

import io

import numpy as np

WORDS = ["the", "IL-2", "p53", "β-catenin", "naïve", "x" * 300]
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)


def text(words, vectors, header=False, gap=" ", line_end="\n") -> bytes:
    rows = [gap.join([word, *(str(float(x)) for x in vector)]) for word, vector in zip(words, vectors, strict=True)]
    return line_end.join([f"{len(words)} {vectors.shape[1]}"] * header + rows + [""]).encode()


def binary(words, vectors, line_end=b"\n") -> bytes:
    rows = [w.encode() + b" " + v.astype("<f4").tobytes() for w, v in zip(words, vectors, strict=True)]
    return f"{len(words)} {vectors.shape[1]}\n".encode() + b"".join(row + line_end for row in rows)


def npz(words, vectors, save=np.savez) -> bytes:
    file = io.BytesIO()
    save(file, words=words, vectors=vectors)
    return file.getvalue()


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


FORMS = {
    "text": ("v.txt", text(WORDS, VECTORS), "text"),
    "glove without last line end": ("v.txt", text(WORDS, VECTORS).rstrip(), "text"),
    "fasttext": (
        "v.vec",
        text(WORDS, VECTORS, header=True).replace(b"\n", b" \n").replace(b" \n", b"\n", 1),
        "text with header",
    ),
    "tabs and CRLF": ("v.tsv", text(WORDS, VECTORS, header=True, gap="\t", line_end="\r\n"), "text with header"),
    "two spaces": ("v", text(WORDS, VECTORS, gap="  "), "text"),
    "BOM": ("v.txt", b"\xef\xbb\xbf" + text(WORDS, VECTORS), "text"),
    "text named .bin": ("v.bin", text(WORDS, VECTORS, header=True), "text with header"),
    "binary": ("v.bin", binary(WORDS, VECTORS), "word2vec binary"),
    "binary without line ends": ("v.bin", binary(WORDS, VECTORS, b""), "word2vec binary"),
    "binary by another name": ("v.w2v", binary(WORDS, VECTORS), "word2vec binary"),
    "npz": ("v.npz", npz(np.array(WORDS), VECTORS), "npz"),
    "npz packed": ("v.npz", npz(np.array(WORDS), VECTORS, np.savez_compressed), "npz"),
    "npz of bytes and big-endian doubles": (
        "v.npz",
        npz(np.array([w.encode() for w in WORDS]), VECTORS.astype(">f8")),
        "npz",
    ),
    "npy": ("v.npy", npy(VECTORS), "npy"),
}
