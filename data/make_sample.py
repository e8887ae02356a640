"""Writes the sample corpora under data/sample: invented names in invented sentences, the same bytes every time.

    python data/make_sample.py [--out data/sample]

A grammar of sentence patterns is filled from pools of names composed of morphemes. The pools and the grammar are common
to all corpora; a corpus has its own subjects, its own entity types and its own share of the names. What makes the task
hard on purpose: names met only in the test split, abbreviations and name-like words that are no entities, patterns that
fit several types, boundaries that depend on the words beside, and a few annotation slips.
"""

import argparse
import random
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

SEED = 2023
NOVEL = 0.3  # share of a test split's mentions with a name that no corpus is trained on
SLIP = 0.02  # share of mentions that the annotator forgot, and the same share cut short
POOLS = {"Gene": 260, "Chemical": 220, "Disease": 180, "Species": 110}


class Sample(NamedTuple):
    """One corpus: which types it tags, how often each subject comes up, and sentences in train, devel and test."""

    types: tuple[str, ...]
    subjects: dict[str, int]
    sizes: tuple[int, int, int]


SAMPLES = {
    "SampleGene": Sample(("Gene",), {"gene": 6, "disease": 1, "drug": 2, "any": 6, "none": 2}, (440, 80, 260)),
    "SampleChem": Sample(
        ("Chemical", "Disease"), {"drug": 6, "disease": 4, "gene": 1, "any": 6, "none": 2}, (440, 80, 260)
    ),
    "SampleSpecies": Sample(
        ("Gene", "Species"), {"species": 6, "gene": 4, "drug": 1, "any": 5, "none": 2}, (420, 80, 260)
    ),
    "SampleMix": Sample(
        ("Chemical", "Disease", "Gene", "Species"),
        {"gene": 3, "drug": 3, "disease": 3, "species": 2, "any": 6, "none": 2},
        (330, 70, 300),
    ),
}

SYLLABLES = [
    "vel", "bre", "tar", "nox", "dul", "fam", "gor", "pit", "quen", "zor", "lum", "cad", "mer", "sil", "tro",
    "phar", "dri", "kol", "bax", "rin", "hes", "mon", "tal", "ver", "gla", "sten", "cor", "pel", "rad", "fos",
    "nim", "tes", "lar", "vin", "osk", "jun", "mar", "hal", "tir", "bel", "sor", "kin",
]  # fmt: skip
VOWELS = "aeiouoa"
UPPER = "ABCDEFGHIKLMNPRSTVX"
GRAMMAR = tomllib.loads((Path(__file__).parent / "sample_grammar.toml").read_text(encoding="utf-8"))
FILLERS: dict[str, list[str]] = GRAMMAR["fillers"]
MENTIONS = {"gene": "Gene", "chem": "Chemical", "disease": "Disease", "species": "Species"}
T = TypeVar("T")


class Dice(random.Random):
    """Choices that depend on `random()` alone, which Python promises to keep from version to version."""

    def pick(self, items: Sequence[T]) -> T:
        """Any item, evenly."""
        return items[int(self.random() * len(items))]

    def early(self, items: Sequence[T]) -> T:
        """An item, the first ones more often: a few names are common and most are rare."""
        return items[int(self.random() ** 2 * len(items))]

    def hit(self, rate: float) -> bool:
        """True at that rate."""
        return self.random() < rate

    def weighted(self, weights: dict[str, int]) -> str:
        """A key, by its weight."""
        return self.pick([key for key, weight in weights.items() for _ in range(weight)])

    def order(self, items: Sequence[T]) -> list[T]:
        """The items, shuffled."""
        return [item for _, item in sorted(((self.random(), item) for item in items), key=lambda pair: pair[0])]


def stem(dice: Dice) -> str:
    """Two or three syllables that say nothing of the type."""
    return dice.pick(SYLLABLES) + (dice.pick(VOWELS) + dice.pick(SYLLABLES) if dice.hit(0.8) else "")


def code(dice: Dice) -> str:
    """An abbreviation, which may be a gene's, a cell line's, a chemical's, a disease's or a method's."""
    letters = "".join(dice.pick(UPPER) for _ in range(2 + int(dice.random() * 3)))
    ending = dice.pick(["", str(1 + int(dice.random() * 12)), "-" + str(1 + int(dice.random() * 9))])
    return letters + ending


def gene(dice: Dice) -> str:
    """A gene or protein."""
    symbol = code(dice)
    forms = [symbol, symbol, symbol.capitalize(), symbol.lower() + dice.pick(["", "A", "B"])]
    forms += [f"p{10 + int(dice.random() * 90)}", stem(dice) + dice.pick(["in", "in", "ase", "ectin"])]
    forms += [f"{stem(dice)}in {dice.pick(['alpha', 'beta', 'gamma', '1', '2', 'B'])}"]
    forms += [f"{symbol} {dice.pick(['kinase', 'receptor', 'phosphatase', 'ligase'])}"]
    forms += [f"{stem(dice)}{dice.pick(['ine', 'ol'])} receptor {1 + int(dice.random() * 4)}"]
    forms += [f"{stem(dice)}in-binding protein {1 + int(dice.random() * 4)}"]
    return dice.pick(forms)


def chemical(dice: Dice) -> str:
    """A chemical or drug."""
    root = stem(dice) + dice.pick(["ine", "ol", "amide", "one", "ate", "azole", "ide"])
    forms = [root, root, root, f"{dice.pick(['methyl', 'sodium', 'acetyl', 'ethyl'])} {root}"]
    forms += [f"{root} {dice.pick(['hydrochloride', 'acetate', 'sulfate'])}", f"{stem(dice)}ic acid"]
    forms += [f"{1 + int(dice.random() * 5)}-{dice.pick(['hydroxy', 'amino', 'fluoro'])}{root}", code(dice), code(dice)]
    return dice.pick(forms)


def disease(dice: Dice) -> str:
    """A disease."""
    name, organ, adjective = stem(dice).capitalize(), dice.pick(FILLERS["organ"]), dice.pick(FILLERS["adjective"])
    kind = dice.pick(["carcinoma", "cancer", "atrophy", "dystrophy", "lymphoma", "fibrosis"])
    forms = [f"{name} syndrome", f"{name} 's disease", f"{organ} {kind}", f"{kind} of the {organ}"]
    forms += [
        f"{adjective} {kind}",
        f"{stem(dice)}itis",
        f"{stem(dice)}osis",
        f"{stem(dice)}opathy",
        code(dice),
        code(dice),
    ]
    forms += [f"{dice.pick(['hereditary', 'familial', 'congenital', 'chronic', 'acute'])} {stem(dice)}opathy"]
    forms += [
        f"{adjective} {stem(dice)}oma",
        f"{code(dice)} deficiency",
        f"{organ} and {dice.pick(FILLERS['organ'])} {kind}",
    ]
    return dice.pick(forms)


def species(dice: Dice) -> str:
    """An organism."""
    genus = stem(dice).capitalize() + dice.pick(["ella", "stoma", "bacter", "mys", "ia", "odon"])
    epithet = stem(dice) + dice.pick(["us", "um", "ensis", "i", "a", "oides"])
    beast = dice.pick(["vole", "lizard", "finch", "moth", "beetle", "toad", "bat"])
    forms = [f"{genus} {epithet}", f"{genus[0]}. {epithet}", genus]
    forms += [f"{dice.pick(['bank', 'sand', 'marsh', 'spotted'])} {beast}"]
    forms += [dice.pick(["mouse", "mice", "rat", "rats", "yeast", "zebrafish", "rabbit", "chicken"])]
    return dice.pick(forms)


MAKERS = {"Gene": gene, "Chemical": chemical, "Disease": disease, "Species": species}


@dataclass(frozen=True)
class Token:
    """A word, the type of the mention that it belongs to, and whether it opens it."""

    text: str
    kind: str = ""
    opens: bool = False


class Writer:
    """Writes the sentences of one split of one corpus."""

    def __init__(self, sample: Sample, pools: dict[str, list[str]], novel: float, dice: Dice) -> None:
        """Names come from the pools, and at the rate `novel` from nowhere."""
        self.sample, self.pools, self.novel, self.dice = sample, pools, novel, dice

    def name(self, kind: str) -> str:
        """A name of that type."""
        return MAKERS[kind](self.dice) if self.dice.hit(self.novel) else self.dice.early(self.pools[kind])

    def mention(self, kind: str) -> list[Token]:
        """A name; a long one may be followed by its abbreviation."""
        words = self.name(kind).split()
        found = [Token(word, kind, i == 0) for i, word in enumerate(words)]
        if len(words) > 1 and kind in {"Gene", "Disease"} and self.dice.hit(0.1):
            short = "".join(word[0] for word in words).upper() + self.dice.pick(["", "", "S", "D"])
            found += [Token("("), Token(short, kind, opens=True), Token(")")]
        return found

    def invented(self, filler: str) -> str | None:
        """Words for a filler that has no patterns; None for one that has."""
        dice = self.dice
        makers: dict[str, Callable[[], str]] = {
            "stem": lambda: stem(dice),
            "code": lambda: dice.early(self.pools["code"]) if dice.hit(0.5) else code(dice),
            "number": lambda: str(1 + int(dice.random() ** 2 * 60)),
            "site": lambda: dice.pick(["Ser", "Tyr", "Thr", "Lys"]) + str(10 + int(dice.random() * 700)),
            "author": lambda: stem(dice).capitalize() + dice.pick(["son", "ini", "berg", "o"]),
            "place": lambda: dice.pick(["soil", "the clinic", "marsh water", f"northern {stem(dice).capitalize()}ia"]),
            "company": lambda: stem(dice).capitalize() + dice.pick([" Ltd", " Biotech", "gen", "a Laboratories"]),
            "gene_tied": lambda: (
                self.name("Gene").split()[0] + dice.pick(["-null", "-dependent", "-like", "-positive"])
            ),
            "chem_tied": lambda: self.name("Chemical").split()[-1] + dice.pick(["-treated", "-induced", "-sensitive"]),
        }
        return makers[filler]() if filler in makers else None

    def expand(self, pattern: str) -> list[Token]:
        """A pattern down to tokens."""
        found: list[Token] = []
        for part in pattern.split():
            before, opening, rest = part.partition("<")
            filler, closing, after = rest.partition(">")
            if not (opening and closing):
                found.append(Token(part))
            elif filler in MENTIONS:
                found += self.mention(MENTIONS[filler])
            elif (text := self.invented(filler)) is not None:
                found += [Token(word) for word in (before + text + after).split()]
            elif filler == "thing":
                found += self.expand(self.dice.pick(GRAMMAR["things"][self.dice.weighted(self.sample.subjects)]))
            else:
                found += self.expand(self.dice.pick(FILLERS[filler]))
        return found

    def sentence(self) -> list[tuple[str, str]]:
        """A sentence as tokens and IOB2 tags."""
        dice = self.dice
        pattern = dice.pick(GRAMMAR["subjects"][dice.weighted(self.sample.subjects)])
        if dice.hit(0.3):
            pattern = f"{dice.pick(FILLERS['lead'])} , {pattern}"
        if dice.hit(0.35):
            pattern = f"{pattern} {dice.pick(FILLERS['tail'])}"
        tokens = [*self.expand(pattern), Token(".")]
        if tokens[0].text.islower() and not tokens[0].kind:
            tokens[0] = Token(tokens[0].text.capitalize())
        return list(zip((token.text for token in tokens), self.tags(tokens), strict=True))

    def tags(self, tokens: list[Token]) -> list[str]:
        """IOB2 tags of the corpus's types, with a few slips."""
        tags: list[str] = []
        forgotten = cut = False
        for i, token in enumerate(tokens):
            if token.opens:
                forgotten, cut = self.dice.hit(SLIP), self.dice.hit(SLIP)
            last = token.kind and not token.opens and (tokens[i + 1].kind != token.kind or tokens[i + 1].opens)
            silent = token.kind not in self.sample.types or forgotten or (cut and last)
            tags.append("O" if silent else ("B-" if token.opens else "I-") + token.kind)
        return tags


def make_pools(dice: Dice) -> dict[str, list[str]]:
    """Distinct names of every type, and the abbreviations of cell lines, methods and reagents."""
    pools: dict[str, list[str]] = {}
    for kind, size in POOLS.items():
        names: dict[str, None] = {}
        while len(names) < size:
            names[MAKERS[kind](dice)] = None
        pools[kind] = list(names)
    symbols = [name for name in pools["Gene"] if name[-1].isdigit() and " " not in name]
    pools["code"] = dice.order([*symbols[::2], *(code(dice) for _ in range(60))])
    return pools


def make_sample(out: Path, seed: int = SEED) -> None:
    """Write every corpus: out/<corpus>/{train,devel,test}.tsv, `token<TAB>tag` and a blank line after a sentence.

    Args:
        out: folder, made where it is missing.
        seed: of everything random.
    """
    pools = make_pools(Dice(f"{seed} names"))
    for name, sample in SAMPLES.items():
        own = Dice(f"{seed} {name}")
        ranked = {kind: own.order(names) for kind, names in pools.items()}
        (out / name).mkdir(parents=True, exist_ok=True)
        for split, size in zip(("train", "devel", "test"), sample.sizes, strict=True):
            writer = Writer(sample, ranked, NOVEL if split == "test" else 0.0, Dice(f"{seed} {name} {split}"))
            sentences = [writer.sentence() for _ in range(size)]
            text = "".join("".join(f"{token}\t{tag}\n" for token, tag in sentence) + "\n" for sentence in sentences)
            (out / name / f"{split}.tsv").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the sample corpora.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "sample")
    make_sample(parser.parse_args().out)
