"""Raw text into sentences and tokens, as the corpora are cut.

Thirteen of the collection's corpora follow NERsuite's rule, here "fine": a run of letters and digits is a token, and so
is any other character; "IL-2" is three tokens. JNLPBA has GENIA's, here "genia": words keep their hyphens, slashes and
dots; "IL-2" is one. In both a sentence ends at a line break, and at a full stop, question or exclamation mark before a
blank, but not inside brackets, not before a word in lower case and not after a few abbreviations.

Nothing is left out of a text but blanks and characters that print nothing, and time is linear in it, whatever it holds.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

Style = Literal["fine", "genia"]

_SILENT = r"\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ud800-\udfff"
_FINE = re.compile(rf"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*|[^{_SILENT}]")  # an accent belongs to its letter
_ALONE = frozenset('()[]{},:;%<>=±&"?!')  # never part of a word in GENIA
_STOPS = frozenset(".?!")
_OPENING = {")": "(", "]": "["}
_WIDEST_BRACKETS = 500  # characters; a bracket closed later than this was not meant so
_LINE_END = re.compile(r"\r\n|[\n\r\f\u2028\u2029]")
_GOES_ON = re.compile(r"(?:[a-z]{3,}+|(?:as|at|by|in|is|of|on|or|to)\b)(?:-[a-z]++)*+-?(?=[\s.,:;]|\Z)")
_ABBREVIATION = re.compile(r"\b(?:(?:e\. ?g|i\. ?e|i\. ?v|vs|cf|Dr|Mr|Mrs|Ms)\.|(?:[Aa]pprox|[Nn]o)\.(?=\d))[^.]$")
_LONGEST_ABBREVIATION = 10
_ASCII = {
    **dict.fromkeys("‐‑‒–−", "-"), **dict.fromkeys("‘’‚‛′´ʹʼ", "'"), **dict.fromkeys("“”„‟″", '"'),
    "—": "--", "±": "+/-", "≤": "<=", "≥": ">=", "≠": "!=", "→": "-->", "←": "<--", "×": "x", "÷": "/", "·": ".",
    "∙": ".", "•": ".", "∼": "~", "°": "degrees", "µ": "micro", "™": "(TM)", "®": "(R)", "©": "(c)", "ß": "ss",
    "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ı": "i",
}  # fmt: skip


class Token(NamedTuple):
    """A token where it stands: text is what the raw text holds from start to end.

    Attributes:
        text: at least one character.
        start: position of its first character.
        end: position after its last.
    """

    text: str
    start: int
    end: int


def tokenize(text: str, style: Style = "fine") -> list[list[Token]]:
    """The sentences of a text in order, each a list of at least one token in order.

    Args:
        text: anything.
        style: of the corpus that the model was trained on, see `style_of`.

    >>> [[token.text for token in sentence] for sentence in tokenize("IL-2 binds. It acts.")]
    [['IL', '-', '2', 'binds', '.'], ['It', 'acts', '.']]
    """
    tokens = [Token(match[0], *match.span()) for match in _FINE.finditer(text)]
    gaps = [text[token.end : after.start] for token, after in pairwise(tokens)]
    lines = [len(_LINE_END.findall(gap)) if gap.strip(" ") else 0 for gap in gaps]
    closed = _closed(tokens, lines)
    cuts = [0]
    for i, (token, after) in enumerate(pairwise(tokens)):
        stops = token.text in _STOPS and closed[i] and any(map(str.isspace, gaps[i]))
        if lines[i] > 1 or ((lines[i] or stops) and not _goes_on(text, token, after)):
            cuts.append(i + 1)
    sentences = [tokens[a:b] for a, b in pairwise([*cuts, len(tokens)]) if a < b]
    return [_words(text, sentence) for sentence in sentences] if style == "genia" else sentences


def style_of(sentences: Iterable[Sequence[str]]) -> Style:
    """The style of a corpus: genia where more than one token in a hundred is none of the fine style's."""
    total = coarse = 0
    for tokens in sentences:
        total += len(tokens)
        coarse += sum(_FINE.fullmatch(token) is None for token in tokens)
    return "genia" if 100 * coarse > total else "fine"


def ascii_form(token: str) -> str:
    """A token as the corpora write it, in ASCII: Greek letters by name, accents dropped, common signs spelt out.

    "IFN-γ" is written "IFN-gamma", "±" "+/-". A character without such a form stays. To be looked up where a vocabulary
    lacks the token as it stands; offsets are the token's own.
    """
    return token if token.isascii() else "".join(map(_ascii, token)) or token


def _ascii(char: str) -> str:
    if char.isascii() or char in _ASCII:
        return _ASCII.get(char, char)
    name = unicodedata.name(char, "")
    if name.startswith("GREEK") and (letter := re.search(r" LETTER (?:FINAL )?(\w+)", name)):
        return letter[1].capitalize() if "CAPITAL" in name else letter[1].lower()
    parts = unicodedata.normalize("NFKD", char)
    plain = "".join(part for part in parts if not unicodedata.combining(part) and not part.isspace())
    return plain if plain == char or plain.isascii() else "".join(map(_ascii, plain))


def _closed(tokens: Sequence[Token], lines: Sequence[int]) -> list[bool]:
    """Whether all brackets are closed after each token; those that the paragraph doesn't close soon don't count.

    Args:
        tokens: of the text.
        lines: line ends between each token and the next.
    """
    closing = {}
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for i, token in enumerate(tokens):
        if i and lines[i - 1] > 1:
            opened = {"(": [], "[": []}
        if token.text in opened:
            opened[token.text].append(i)
        elif waiting := opened.get(_OPENING.get(token.text, "")):
            first = waiting.pop()
            if token.end - tokens[first].start <= _WIDEST_BRACKETS:
                closing[first] = i
    closed, last = [], 0
    for i in range(len(tokens)):
        last = max(last, closing.get(i, 0))
        closed.append(i >= last)
    return closed


def _goes_on(text: str, token: Token, after: Token) -> bool:
    """Whether the words on both sides say that a sentence doesn't end here."""
    if _GOES_ON.match(text, after.start):
        return True
    before = text[max(0, token.end - _LONGEST_ABBREVIATION) : token.end]
    return _ABBREVIATION.search(before + after.text[0]) is not None


def _words(text: str, sentence: Sequence[Token]) -> list[Token]:
    """Fine tokens joined to GENIA's words: what no blank parts is one, but for signs that stand alone."""
    edges = [0]
    for i, (token, after) in enumerate(pairwise(sentence), 1):
        apart = token.end < after.start or token.text in _ALONE or after.text in _ALONE
        last_stop = i == len(sentence) - 1 and after.text in _STOPS
        genitive = after.text == "'" and re.match(r"'s\b", text[after.start : after.start + 3])
        if apart or last_stop or genitive:
            edges.append(i)
    spans = [(sentence[a].start, sentence[b - 1].end) for a, b in pairwise([*edges, len(sentence)])]
    return [Token(text[start:end], start, end) for start, end in spans]
