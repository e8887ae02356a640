"""The report as one self-contained HTML page: what its templates are given, and the page itself."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from kd_jax import __version__
from kd_jax.evaluation.results import Row
from kd_jax.evaluation.significance import MARGIN, verdict
from kd_jax.report.comparison import PAIRS_CAPTION, Comparison, Within, numbers, pair_cells
from kd_jax.report.drawing import COLOURS, ON_DARK, Looks, inline
from kd_jax.report.formats import signed
from kd_jax.report.pictures import Picture
from kd_jax.report.score_matrix import ScoreMatrix
from kd_jax.report.sentences import GLOSSARY, within_sentences

Grid = list[list[str]]
"""A table of texts: its head, then its lines, each of which begins with its name."""

# matplotlib's markers as signs of the page's font, for legends.
_SIGNS = dict(zip("os^DvPX<>*", "●■▲◆▼✚✖◀▶★", strict=True))


def is_ours(document: str) -> bool:
    """Whether a document is a page of a report; those of 0.1.0 say so at their end."""
    return '<meta name="generator" content="kd_jax ' in document or "<footer><p class=caption>kd_jax " in document


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("kd_jax.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["signed"] = signed
    environment.globals.update(version=__version__, colours=COLOURS, on_dark=ON_DARK)
    return environment


def render(template: str, **given: Any) -> str:
    """A template as HTML; what it is given is escaped, but for what the template itself calls safe: our own HTML."""
    return _templates().get_template(template).render(**given)


class Part(NamedTuple):
    """A section of the page: its heading, what it means in a sentence, and its HTML."""

    title: str
    meaning: str
    html: str


def page(title: str, commands: Sequence[str], sections: Sequence[Part], folded: Sequence[tuple[str, str]] = ()) -> str:
    """The whole page.

    Args:
        title: of the page.
        commands: that made it, as one types them.
        sections: its sections, the most important first.
        folded: headings and HTML of what is folded at its end.

    Returns:
        A document without outside resources.
    """
    return render("page.html", title=title, commands=commands, sections=sections, folded=folded, glossary=GLOSSARY)


def grid(head: Sequence[str], lines: Sequence[Sequence[str]], style: str = "") -> str:
    """A table of texts; the first cell of each line names it."""
    return render("grid.html", head=head, lines=lines, style=style)


class Drawn(NamedTuple):
    """A picture as the page shows it.

    Attributes:
        title: above it.
        caption: below it.
        svgs: its panels, or the whole.
        panel: pixels that a panel wants to be wide; 0 for a whole picture, which scrolls where it does not fit.
        legend: label, number of the colour and sign of each model.
        leads: whether it stands beside the table.
    """

    title: str
    caption: str
    svgs: list[str]
    panel: int
    legend: list[tuple[str, int, str]]
    leads: bool


def drawn(picture: Picture, looks: Looks, section: str) -> Drawn:
    """Draw a picture for the page.

    Args:
        picture: the picture.
        looks: colour and marker of each label.
        section: name of the section, so that pictures of a page have names of their own.
    """
    figures = [draw() for draw in picture.parts] or [picture.whole()]
    widest = max(figure.get_figwidth() for figure in figures)
    for part in figures if picture.parts else ():
        part.supxlabel("")  # the caption says it once for all of them
        part.set_figwidth(widest)  # a page shows panels at one width, and so at one scale
    svgs = [inline(figure, f"{section}-{picture.name}-{k}") for k, figure in enumerate(figures)]
    # CSS has 96 pixels an inch.
    panel = round(96 * widest) if picture.parts else 0
    legend = [
        (label, COLOURS.index(colour), _SIGNS[marker]) for label in picture.labels for colour, marker in [looks[label]]
    ]
    return Drawn(picture.title, picture.caption, svgs, panel, legend, picture.leads)


def over_corpora(comparison: Comparison) -> dict[str, Any]:
    """Tests over corpora: in words, and in numbers to unfold."""
    head, lines = pair_cells(comparison)
    return {
        "sentences": [*comparison.sentences, *comparison.limits],
        "numbers": numbers(comparison),
        "head": head,
        "lines": lines,
        "caption": PAIRS_CAPTION,
    }


WITHIN_CAPTION = (
    "Difference of mean F1 over seeds; its error is that of new seeds and new sentences (Student's t, Satterthwaite's "
    "degrees of freedom). p is Holm-corrected over the pairs of the corpus, the limits are not. No difference only "
    f"where the limits lie within {MARGIN:g} F1."
)


def within_corpora(tests: Sequence[Within], notes: Sequence[str], alpha: float) -> dict[str, Any]:
    """Tests within corpora: in words, and in numbers to unfold."""
    lines = [
        [
            f"{t.first} − {t.second}",
            t.corpus,
            f"{t.sentences}",
            f"{t.difference.estimate:+.2f}",
            f"{t.difference.low:+.2f}, {t.difference.high:+.2f}",
            f"{t.p:.3f}",
            verdict(t.p, *t.difference[1:], alpha),
        ]
        for t in sorted(tests, key=lambda test: (test.corpus, test.p))
    ]
    return {
        "sentences": [*within_sentences(tests, alpha), *notes],
        "head": ["first − second", "corpus", "sentences", "F1", "95 % limits", "p", "verdict"],
        "lines": lines,
        "caption": WITHIN_CAPTION,
    }


def cost(matrix: ScoreMatrix, choosing: Sequence[Row] = ()) -> Grid:
    """Tokens and time that each model of a score matrix took to train; nothing for published figures.

    Args:
        matrix: the models of a table.
        choosing: rows of the models that were trained to choose their weights.
    """
    groups = {
        m: [row for (_, other), of_cell in matrix.rows.items() if other == m for row in of_cell] for m in matrix.labels
    }
    groups |= {"choosing weights": list(choosing)} if choosing else {}
    lines = []
    total = [0, 0, 0.0]
    for label, rows in groups.items():
        # A multi-task model has a row for each corpus, but was trained once; an average of models was not trained.
        trained = [row for row in rows if row.tokens]
        once = {(row.label, row.seed, "" if row.model == "MTM" else row.corpus): row for row in trained}.values()
        spent = [len(once), sum(row.tokens for row in once), sum(row.seconds for row in once)]
        total = [a + b for a, b in zip(total, spent, strict=True)]
        if once:
            lines.append([label, *_spent(*spent)])
    if not lines:
        return []
    return [["", "models", "million tokens", "time", "tokens/s"], *lines, ["all", *_spent(*total)]]


def _spent(models: float, tokens: float, seconds: float) -> list[str]:
    minutes, rest = divmod(round(seconds), 60)
    clock = f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    return [f"{models:.0f}", f"{tokens / 1e6:,.2f}", clock, f"{tokens / seconds:,.0f}" if seconds else "–"]


def chosen_weights(matrix: ScoreMatrix) -> Grid:
    """Loss weights by corpus, of the models whose weights differ between corpora; nothing where none do."""
    symbols = ("alpha", "beta", "gamma", "kappa", "tau")
    weights = {
        # Of any seed: weights are chosen for a corpus, all seeds together.
        cell: " ".join(f"{symbol} {getattr(rows[-1], symbol):g}" for symbol in symbols)
        for cell, rows in matrix.rows.items()
    }
    tuned = [m for m in matrix.labels if len({text for (_, label), text in weights.items() if label == m}) > 1]
    if not tuned:
        return []
    return [["", *tuned], *([c, *(weights.get((c, label), "–") for label in tuned)] for c in matrix.corpora)]


def _flat(node: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(node, Mapping):
        flat: dict[str, str] = {}
        for key, value in node.items():
            flat.update(_flat(value, f"{prefix}{key}."))
        return flat
    if isinstance(node, list):
        texts = [", ".join(f"{k} {v}" for k, v in _flat(x).items()) if isinstance(x, Mapping) else str(x) for x in node]
        return {prefix.removesuffix("."): ("; " if any(isinstance(x, Mapping) for x in node) else ", ").join(texts)}
    return {prefix.removesuffix("."): f"{node:,}" if isinstance(node, int) and abs(node) >= 10_000 else str(node)}


def what_ran(settings: Mapping[str, Any]) -> str:
    """Corpora with their hashes and counts, and all other settings of a run.

    Args:
        settings: settings.json of a work folder, whatever it holds; "corpora" maps names to what is said of each.

    Returns:
        Tables: the corpora, then everything else by the first part of its name.
    """
    about = settings.get("corpora")
    corpora: Grid = []
    if isinstance(about, Mapping) and about:
        flat = {name: _flat(of_corpus) for name, of_corpus in about.items()}
        columns = list(dict.fromkeys(column for of_corpus in flat.values() for column in of_corpus))
        corpora = [["corpus", *(c.replace(".", " ") or "hash" for c in columns)]]
        corpora += [
            [name, *(_short(columns_of.get(column, "–")) for column in columns)] for name, columns_of in flat.items()
        ]
    rest = {key: value for key, value in settings.items() if key not in {"corpora", "command"}}
    plain = _lines({key: value for key, value in rest.items() if not isinstance(value, Mapping)})
    groups = [(key, _lines(value)) for key, value in rest.items() if isinstance(value, Mapping)]
    return render("settings.html", corpora=corpora, plain=plain, groups=groups)


def _lines(node: Mapping[str, Any]) -> Grid:
    return [[key, value] for key, value in _flat(node).items()]


def _short(text: str) -> str:
    long_hash = len(text) >= 32 and all(letter in "0123456789abcdef" for letter in text)
    return text[:12] + "…" if long_hash else text
