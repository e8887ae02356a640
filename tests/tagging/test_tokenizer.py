import re
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kd_jax.corpora.conll import read_split
from kd_jax.tagging.tokenizer import Style, ascii_form, style_of, tokenize

STYLES = get_args(Style)
QUOTES = frozenset(['"', "``", "''"])
SIGNS = {
    "+/-": "±",
    ">=": "≥",
    "<=": "≤",
    "!=": "≠",
    "-->": "→",
    "(TM)": "™",
    "(R)": "®",
    "--": "—",
    "<FFFD>": "\ufffd",
}


def words(text, style="fine"):
    return [[token.text for token in sentence] for sentence in tokenize(text, style)]


@pytest.mark.parametrize(
    ("text", "fine", "genia"),
    [
        ("IL-2 (1.5 ng/ml)", "IL - 2 ( 1 . 5 ng / ml )", "IL-2 ( 1.5 ng/ml )"),
        ("Patient's CD4+ cells, 5'-end.", "Patient ' s CD4 + cells , 5 ' - end .", "Patient 's CD4+ cells , 5'-end ."),
        ("NF_kB at 37°C", "NF _ kB at 37 ° C", "NF_kB at 37°C"),
        ("IFN-γ naïve", "IFN - γ naïve", "IFN-γ naïve"),
        ("nai\u0308ve", "nai\u0308ve", "nai\u0308ve"),
        ("p\u200b53\0!", "p 53 !", "p 53 !"),
        ("הורמון-גדילה", "הורמון - גדילה", "הורמון-גדילה"),
        ("😀😀", "😀 😀", "😀😀"),
    ],
)
def test_worked_examples_of_tokens(text, fine, genia):
    assert words(text, "fine") == [fine.split()]
    assert words(text, "genia") == [genia.split()]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "sentences",
    [
        ["It binds DNA.", "Does it?", "Yes!", "5 mice died."],
        ["E. coli and S. cerevisiae grew, e.g. Bacillus vs. Proteus (Fig. 3. Left) too.", "Then no more."],
        ["The dose (approx. 5 mg i.v. Day 1) was low.", "We took no. 5 of it.", "Dr. No said no.", "Nothing."],
        ["Loss of p53 i.e. TP53 was seen.", "mRNA fell.", "(It rose.) [Editorial].", "beta-Catenin too."],
        ["He said (never closed.", "She went."],
        ["Unmatched ) here.", "( There too."],
    ],
)
def test_worked_examples_of_sentences(sentences, style):
    assert words(" ".join(sentences), style) == [words(sentence, style)[0] for sentence in sentences]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_line_ends(end):
    assert words(f"A title{end}The text (it{end}goes on vs.{end}Proteus).{end}Next") == [
        ["A", "title"],
        ["The", "text", "(", "it", "goes", "on", "vs", ".", "Proteus", ")", "."],
        ["Next"],
    ]
    assert words(f"a title{end} {end}of two (one.{end}{end}Two) Three. Four") == [
        ["a", "title"],
        ["of", "two", "(", "one", "."],
        ["Two", ")", "Three", "."],
        ["Four"],
    ]


def test_a_stop_without_a_blank_after_it_ends_nothing():
    assert len(words("NKX3.1 at www.x.org?a=b!c")) == 1
    assert len(words("End.\u200bStart")) == 1


ANY_TEXT = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(list(". .?!()[]'s\n\r-aB3é\u0301\u200b\0γ"))))


@given(ANY_TEXT)
def test_every_character_that_prints_is_in_one_token_of_both_styles(text):
    found = {style: tokenize(text, style) for style in STYLES}
    covered = {}
    for style, sentences in found.items():
        assert all(sentences)
        tokens = [token for sentence in sentences for token in sentence]
        assert all(token.text == text[token.start : token.end] != "" for token in tokens)
        assert all(a.end <= b.start for a, b in pairwise(tokens))
        covered[style] = {at for token in tokens for at in range(token.start, token.end)}
        assert not any(char.isspace() for token in tokens for char in token.text)
        rest = {char for at, char in enumerate(text) if at not in covered[style]}
        assert not any(char.isprintable() and char != " " for char in rest - set("\ufe0e\ufe0f")), rest
    assert covered["fine"] == covered["genia"]
    ends = [[(sentence[0].start, sentence[-1].end) for sentence in sentences] for sentences in found.values()]
    assert ends[0] == ends[1]


@example("0\raaa", "")  # a word that goes on does so at the end of a text too
@given(ANY_TEXT, ANY_TEXT)
def test_paragraphs_can_be_read_one_by_one(first, second):
    offset = len(first) + 3
    later = [
        [token._replace(start=token.start + offset, end=token.end + offset) for token in s] for s in tokenize(second)
    ]
    assert tokenize(f"{first}\n \n{second}") == tokenize(first) + later


HOSTILE = {
    "no blank": "ACGT" * 250_000,
    "stops": "." * 300_000,
    "open brackets": "(" * 150_000 + ")" * 150_000,
    "brackets one in another": "([" * 150_000,
    "hyphens": "abc-" * 75_000 + "B",
    "hyphens after stops": "A. abc-" * 50_000,
    "apostrophes": "'s" * 150_000,
    "abbreviations": "e. g. " * 50_000,
    "emoji": "👩\u200d🔬" * 100_000,
    "control characters": "\0\x1b\x7f" * 330_000,
    "accents": "\u0301" * 300_000,
    "blanks": "a." + " " * 1_000_000 + "B",
    "lone surrogates": "\ud800" * 1_000_000,
    "right to left": "\u202eשלום עולם. " * 30_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("style", STYLES)
def test_hostile_text_takes_one_pass(name, style):
    """Quadratic time would hang here for hours; one pass takes seconds."""
    text = HOSTILE[name]
    at = 0
    for sentence in tokenize(text, style):
        for token in sentence:
            assert token.start >= at
            assert text.startswith(token.text, token.start)
            at = token.end
    printing = len(text.rstrip(" \0\x1b\x7f\ud800\u202e\u200d"))
    assert at == printing


def test_empty_texts():
    for text in ("", " ", "\n\n", "\ufeff", "\0"):
        assert tokenize(text) == tokenize(text, "genia") == []


@pytest.mark.parametrize(
    ("token", "form"),
    [
        ("IFNγ", "IFNgamma"), ("Δψ", "Deltapsi"), ("ς", "sigma"), ("ά", "alpha"), ("ϑ", "theta"), ("μM", "muM"),
        ("µM", "microM"), ("±", "+/-"), ("≥", ">="), ("–", "-"), ("’", "'"), ("naïve", "naive"),
        ("nai\u0308ve", "naive"), ("Løvås", "Lovas"), ("ﬁ", "fi"), ("10²", "102"), ("™", "(TM)"), ("日本", "日本"),
        ("\u0301", "\u0301"),        ("p53", "p53"),
    ],
)  # fmt: skip
def test_ascii_forms(token, form):
    assert ascii_form(token) == form


@given(st.text(min_size=1))
def test_ascii_forms_are_never_empty_and_final(token):
    form = ascii_form(token)
    assert form
    assert ascii_form(form) == form


def raw_form(tokens, style):
    """Running text that a sentence's tokens may come from: blanks as in English around them, signs as one character.

    No blank before closing signs, after opening ones, beside hyphens and slashes, in a number, nor in "e.g." and
    "U.S.A."; quotation marks open and close in turn; MEDLINE's mark of a cut abstract follows its full stop at once.
    Hyphens and slashes that are tokens in GENIA's style stood between blanks.
    """
    text, quoted, tight = "", False, True
    for i, token in enumerate(tokens):
        a2, a1, b1 = (tokens[k] if 0 <= k < len(tokens) else " " for k in (i - 2, i - 1, i + 1))
        number = a1 in ".," and a2[-1].isdigit() and token[0].isdigit() and (a1 == "." or len(token) == 3)
        letters = a1 == b1 == "." and len(a2) == len(token) == 1 and (a2 + token).isalpha()
        tight |= token in {*",.;:)]}?!%", "'s"} or a1 in {*"([{"}
        tight |= style == "fine" and (token in {*"-/'"} or a1 in {*"-/"})
        tight |= number or letters or (a1 == "'" and token in {"s", "t"})
        tight |= (a1 == "." and (token, b1) == ("(", "ABSTRACT")) or re.match(r"-[A-Za-z]{2}", token) is not None
        quote = token in QUOTES
        text += ("" if tight or (quote and quoted) else " ") + ('"' if quote else SIGNS.get(token, token))
        quoted ^= quote
        tight = quote and quoted
    return text


def test_raw_form():
    sentence = 'In " E . coli " ( no . 3 ) , IL - 2 \' s dose was 2 . 5 +/- 1 mg / kg , e . g . in mice .'
    assert raw_form(sentence.split(), "fine") == 'In "E. coli" (no. 3), IL-2\'s dose was 2.5 ± 1 mg/kg, e.g. in mice.'


def shares(path, take=10):
    """Shares of a file's sentences that come out with exactly its tokens: read one by one, and ten running on."""
    sentences = [list(s.tokens) for s in read_split(path)]
    style = style_of(sentences)
    alone = together = 0
    for k in range(0, len(sentences), take):
        text, places = "", {}
        for tokens in sentences[k : k + take]:
            raw = raw_form(tokens, style)
            as_read = ['"' if token in QUOTES else token.replace("<FFFD>", "\ufffd") for token in tokens]
            alone += [[ascii_form(token.text) for token in s] for s in tokenize(raw, style)] == [as_read]
            places[len(text), len(text) + len(raw)] = as_read
            text += raw + (" " if tokens[-1] in {".", "?", "!"} else "\n")
        for s in tokenize(text, style):
            together += places.get((s[0].start, s[-1].end)) == [ascii_form(token.text) for token in s]
    return style, alone / len(sentences), together / len(sentences)


@pytest.mark.slow
def test_real_corpora_come_out_as_they_are(real_corpora):
    """Titles stand on lines of their own.

    What JNLPBA cuts at entities ("IL-2 -induced") no rule can know. Linnaeus is scanned pages, cut at each line.
    """
    floors = {"JNLPBA": 0.91, "linnaeus-IOB": 0.93}
    paths = sorted(real_corpora.glob("*/test.tsv"))
    if not paths:
        pytest.skip(f"{real_corpora} holds no */test.tsv")
    for path in paths:
        style, alone, together = shares(path)
        print(f"{path.parent.name:16} {style:5} sentence by sentence {alone:.4f}, running text {together:.4f}")
        assert style == ("genia" if path.parent.name == "JNLPBA" else "fine")
        floor = floors.get(path.parent.name, 0.975)
        assert alone > floor, path
        assert together > floor, path


def test_style_of():
    assert style_of([["IL", "-", "2", "+/-"], ["x"] * 100]) == "fine"
    assert style_of([["IL-2", "rose", "."]]) == "genia"
    assert style_of([]) == "fine"
