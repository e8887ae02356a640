"""The report as one self-contained HTML page: its parts as fragments, and the page around them."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

from PIL import Image

from kd_jax import __version__
from kd_jax.evaluation.results import Row
from kd_jax.evaluation.significance import verdict
from kd_jax.report.comparison import PAIRS_CAPTION, Comparison, Within, limits_text, numbers, p_text, pair_cells
from kd_jax.report.score_matrix import ScoreMatrix, listed
from kd_jax.report.tables import ScoreTable

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.3rem;margin-top:3rem;border-bottom:1px solid #ccc}h3{font-size:1.05rem}
nav a{margin-right:1em}.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25em .7em;text-align:right;vertical-align:top}
th[scope=row],.plain td,.plain th,thead th:first-child{text-align:left}
td,th{white-space:nowrap}.plain td{white-space:normal;overflow-wrap:anywhere}
thead th{border-bottom:2px solid #222}tbody tr{border-bottom:1px solid #e5e5e5}.average{border-top:2px solid #222}
.best{font-weight:bold}.second{text-decoration:underline}small{color:#555}
.beside{font-size:.8em;color:#555}.caption,figcaption{font-size:.9em;color:#444}figure{margin:1.5rem 0}
img{max-width:100%;height:auto}details{margin:.8rem 0}summary{cursor:pointer;color:#0055a4}code{overflow-wrap:anywhere}
""".strip()


_GENERATOR = f'<meta name="generator" content="kd_jax {__version__}">'


def is_ours(document: str) -> bool:
    """Whether a document is a page of a report; those of 0.1.0 say so at their end."""
    return '<meta name="generator" content="kd_jax ' in document or "<footer><p class=caption>kd_jax " in document


def grid(head: Sequence[str], lines: Sequence[Sequence[str]], style: str = "") -> str:
    """A table of texts; the first cell of each line names it."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(line[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in line[1:])
        + "</tr>"
        for line in lines
    )
    kind = f' class="{style}"' if style else ""
    return f'<div class="wide"><table{kind}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def bullets(sentences: Sequence[str]) -> str:
    """Sentences as a list; nothing for none."""
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>" if sentences else ""


def folded(summary: str, content: str) -> str:
    """Something to unfold."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def picture(png: bytes, caption: str) -> str:
    """A picture, inlined, at the size it was drawn for."""
    width = round(Image.open(BytesIO(png)).width * 96 / 150)
    source = f"data:image/png;base64,{b64encode(png).decode()}"
    text = escape(caption)
    return f'<figure><img src="{source}" width="{width}" alt="{text}"><figcaption>{text}</figcaption></figure>'


GLOSSARY = (
    "STM: a single-task model, trained on one corpus alone. MTM: the multi-task model, the teacher, trained on all "
    "corpora together. SM: a student, an STM that also learns from the teacher; a is the weight of its gold labels. "
    "F1: harmonic mean of entity precision and recall, in percent."
)


def glance(table: ScoreTable) -> str:
    """A table in a sentence: its models by their average, the best first."""
    rows = table.averages[:1] or table.rows[:1]
    name, scores = rows[0]
    known = sorted((cell.mean, label) for label, cell in zip(table.labels, scores, strict=True) if cell)
    ordered = ", ".join(f"{label} {mean:.1f}" for mean, label in reversed(known))
    where = f"average of {name.removeprefix('Average of ')} corpora" if table.averages else name
    return f"{table.title}: F1, {where}: {ordered}."


def over_corpora(comparison: Comparison) -> str:
    """Tests over corpora: in words, and their numbers to unfold."""
    said = bullets([*comparison.sentences, *comparison.limits])
    if not comparison.pairs:
        return said
    lines = "<br>".join(map(escape, numbers(comparison)))
    table = grid(*pair_cells(comparison))
    caption = f"<p class=caption>{escape(PAIRS_CAPTION)}</p>"
    return said + folded("The tests in numbers", f"<p>{lines}</p>{table}{caption}")


def within_sentences(tests: Sequence[Within], alpha: float) -> list[str]:
    """What the tests within corpora say, a sentence for each pair of models that differ somewhere, or surely don't."""
    won: dict[tuple[str, str], list[str]] = {}
    alike: dict[tuple[str, ...], list[str]] = {}
    for test in tests:
        found = verdict(test.p, *test.difference[1:], alpha)
        if found == "different":
            won.setdefault((test.first, test.second), []).append(
                f"{test.corpus} ({test.difference.estimate:+.1f}, {limits_text(test.difference)}, {p_text(test.p)})"
            )
        elif found == "no difference":
            alike.setdefault(tuple(sorted((test.first, test.second))), []).append(test.corpus)
    said = [f"{first} beats {second} on {listed(corpora)}." for (first, second), corpora in won.items()]
    said += [
        f"No difference between {listed(pair)} on {listed(corpora)} (limits within 0.5)."
        for pair, corpora in alike.items()
    ]
    corpora = len({test.corpus for test in tests})
    if tests and not won:
        within = f" within any of the {corpora} corpora" if corpora > 1 else ""
        said.append(f"No two models can be told apart{within}.")
    return said


def within_corpora(tests: Sequence[Within], notes: Sequence[str], alpha: float) -> str:
    """Tests within corpora: in words, and their numbers to unfold."""
    if not tests:
        return bullets(notes)
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
    table = grid(["first − second", "corpus", "sentences", "F1", "95 % limits", "p", "verdict"], lines)
    caption = (
        "Difference of mean F1 over seeds; its error is that of new seeds and new sentences (Student's t, "
        "Satterthwaite's degrees of freedom). p is Holm-corrected over the pairs of the corpus, the limits are not. No "
        "difference only where the limits lie within 0.5 F1."
    )
    said = bullets([*within_sentences(tests, alpha), *notes])
    return f"<h3>Within each corpus</h3>{said}" + folded(
        "The tests in numbers", f"{table}<p class=caption>{escape(caption)}</p>"
    )


def cost(matrix: ScoreMatrix, choosing: Sequence[Row] = ()) -> str:
    """Tokens and time that each model of a score matrix took to train.

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
        # A multi-task model has a row for each corpus, but was trained once.
        once = {(row.label, row.seed, "" if row.model == "MTM" else row.corpus): row for row in rows}.values()
        spent = [len(once), sum(row.tokens for row in once), sum(row.seconds for row in once)]
        total = [a + b for a, b in zip(total, spent, strict=True)]
        lines.append([label, *_spent(*spent)])
    if not total[0]:
        return ""
    table = grid(["", "models", "million tokens", "time", "tokens/s"], [*lines, ["all", *_spent(*total)]])
    shared = "Models that several experiments share are counted in each."
    return f"<h3>Time and tokens</h3>{table}<p class=caption>{shared}</p>"


def _spent(models: float, tokens: float, seconds: float) -> list[str]:
    minutes, rest = divmod(round(seconds), 60)
    clock = f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    return [f"{models:.0f}", f"{tokens / 1e6:,.2f}", clock, f"{tokens / seconds:,.0f}" if seconds else "–"]


def chosen_weights(matrix: ScoreMatrix) -> str:
    """Loss weights by corpus, of the models whose weights differ between corpora; nothing where none do."""
    symbols = ("alpha", "beta", "gamma", "kappa", "tau")
    weights = {
        cell: " ".join(f"{symbol} {getattr(rows[-1], symbol):g}" for symbol in symbols)
        for cell, rows in matrix.rows.items()
    }
    tuned = [m for m in matrix.labels if len({text for (_, label), text in weights.items() if label == m}) > 1]
    if not tuned:
        return ""
    lines = [[corpus, *(weights.get((corpus, label), "–") for label in tuned)] for corpus in matrix.corpora]
    return folded("Loss weights chosen for each corpus", grid(["", *tuned], lines, "plain"))


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
    corpora = settings.get("corpora")
    parts = []
    if isinstance(corpora, Mapping) and corpora:
        flat = {name: _flat(about) for name, about in corpora.items()}
        columns = list(dict.fromkeys(column for about in flat.values() for column in about))
        lines = [[name, *(_short(about.get(column, "–")) for column in columns)] for name, about in flat.items()]
        parts.append(grid(["corpus", *(c.replace(".", " ") or "hash" for c in columns)], lines))
    brief = {key: value for key, value in settings.items() if key != "corpora" and not isinstance(value, Mapping)}
    if brief:
        parts.append(grid(["", ""], [[k, v] for k, v in _flat(brief).items()], "plain"))
    for key, value in settings.items():
        if key != "corpora" and isinstance(value, Mapping):
            parts.append(folded(key, grid(["", ""], [[k, v] for k, v in _flat(value).items()], "plain")))
    return "".join(parts)


def _short(text: str) -> str:
    long_hash = len(text) >= 32 and all(letter in "0123456789abcdef" for letter in text)
    return text[:12] + "…" if long_hash else text


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """The whole page.

    Args:
        title: of the page.
        lead: HTML below it.
        sections: heading and HTML of each section.

    Returns:
        A document without outside resources.
    """
    links = "".join(f'<a href="#s{k}">{escape(heading)}</a> ' for k, (heading, _) in enumerate(sections))
    body = "".join(
        f'<section id="s{k}"><h2>{escape(heading)}</h2>{content}</section>'
        for k, (heading, content) in enumerate(sections)
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'{_GENERATOR}<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{lead}<nav>{links}</nav>{body}"
        f"<footer><p class=caption>kd_jax {__version__}</p></footer></body></html>\n"
    )
