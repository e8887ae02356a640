"""The page: self-contained, well-formed, escaped, and true to what it is made from."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from helpers.made_results import made_rows
from matplotlib.figure import Figure

from kd_jax.evaluation.significance import Interval
from kd_jax.report import page, sentences
from kd_jax.report import published as paper
from kd_jax.report.comparison import Within, compare
from kd_jax.report.pictures import Picture
from kd_jax.report.score_matrix import published, score_matrices
from kd_jax.report.tables import score_table

VOID = {"meta", "img", "br", "link"}


class Checked(HTMLParser):
    """Parses a document, refuses wrong nesting, collects text and sources."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.sources = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def section(matrix, within=(), notes=(), table=None, drawn=()):
    comparison = compare(matrix)
    return page.render(
        "section.html", meaning=sentences.meaning(matrix, comparison, within), cautions=sentences.cautions(matrix),
        table=table or score_table(matrix, "X", {}), pictures=drawn, over=page.over_corpora(comparison),
        within=page.within_corpora(within, notes, 0.05), more=(), weights=page.chosen_weights(matrix),
        cost=page.cost(matrix),
    )  # fmt: skip


def test_panels_of_a_picture_are_of_one_width_and_so_of_one_scale():
    picture = Picture("p", "", "", Figure, (lambda: Figure((3, 2)), lambda: Figure((5, 1))))
    drawn = page.drawn(picture, {}, "section")
    assert [re.search(r'width="(\d+)" height="(\d+)"', svg).groups() for svg in drawn.svgs] == [
        ("480", "192"), ("480", "96"),
    ]  # fmt: skip
    assert drawn.panel == 480


def test_the_page_is_well_formed_and_needs_nothing_else():
    part = page.Part("One & two", "<b>", section(published(4)))
    document = Checked(page.page("A <title>", ["kd-jax train --set='a<b'"], [part, part], [("Settings", "<p>x</p>")]))
    for text in ("A <title>", "kd-jax train --set='a<b'", "One & two", "<b>", "SM task beats STM on 15 of 15 corpora",
                 "chi2 = 18.061"):  # fmt: skip
        assert text in document.text
    assert all(source.startswith(("#", "data:")) for source in document.sources)


def test_the_result_comes_first_then_the_tests_and_settings_are_folded_at_the_end():
    rows = [replace(row, corpus="<b>&") for row in made_rows(1, ["NCBI"])]
    (matrix,) = score_matrices(rows)
    html = page.page("X", ["kd-jax train"], [page.Part("T", "", section(matrix))], [("Settings", "<p>hash</p>")])
    document = Checked(html)
    order = ["kd-jax train", "has the highest F1", "<b>&", "What the tests say", "Time and tokens", "hash"]
    places = [document.text.index(part) for part in order]
    assert places == sorted(places)
    assert re.search(r"<details><summary>Settings</summary><p>hash</p></details>", html)
    assert html.count("<table") == html.count('<div class="wide"><table')


def test_a_table_shows_places_spread_and_what_it_stands_beside():
    (matrix,) = score_matrices(made_rows(1, ["NCBI"]))
    html = section(matrix, table=score_table(matrix, "X", paper.figures(1)))
    cells = re.findall(r"<td>.*?</td>", html.split("</table>")[0], re.DOTALL)
    assert len(cells) == 5
    placed = [cell.place for cell in score_table(matrix, "X", {}).rows[0][1]]
    places = [placed.count(1), placed.count(2)]
    assert [sum(f'class="{name}"' in cell for cell in cells) for name in ("best", "second")] == places
    assert all("<small> ± " in cell and 'class="beside"' in cell and "−" in cell for cell in cells)


@pytest.mark.parametrize(("number", "corpora", "said"), [
    (1, None, "SM a=0.5 has the highest F1, 84.1 on the average of 15 corpora, 1.0 above STM; over corpora the two "
              "differ significantly (Holm-Wilcoxon p = 0.036)."),
    (7, None, "MTM has the highest F1, 84.0 on the average of 15 corpora, 0.8 above STM; over corpora that is "
              "undecided."),
    (1, ["NCBI"], "SM a=0.5 has the highest F1, 85.3 on NCBI, 1.0 above STM; nothing tests whether that is more than "
                  "chance."),
])  # fmt: skip
def test_what_a_table_means_in_a_sentence(number, corpora, said):
    matrix = published(number)
    matrix = matrix.only(corpora or matrix.corpora)
    assert sentences.meaning(matrix, compare(matrix), []) == said


@pytest.mark.parametrize(("p", "said"), [
    ((0.01, 0.2), "it is significantly better on NCBI and 1 corpus is undecided."),
    ((0.01, 0.02), "it is significantly better on NCBI and CRAFT."),
    ((0.3, 0.2), "no test tells the two apart."),
])  # fmt: skip
def test_what_a_table_means_where_only_tests_within_corpora_can_tell(p, said):
    matrix = published(1).only(["NCBI", "CRAFT"])
    tests = [
        Within(c, "SM a=0.5", "STM", 100, Interval(1.5, 0.5, 2.5), x) for c, x in zip(("NCBI", "CRAFT"), p, strict=True)
    ]
    meaning = sentences.meaning(matrix, compare(matrix), tests)
    assert meaning.startswith("MTM has") or meaning.endswith(said)
    matrix = matrix.only(["NCBI", "CRAFT"], ["STM", "SM a=0.5"])
    assert sentences.meaning(matrix, compare(matrix), tests).endswith(said)


def test_a_model_that_finds_nothing_and_teachers_that_seeds_share_are_said():
    rows = made_rows(1, ["NCBI", "CRAFT"])
    assert sentences.cautions(score_matrices(rows)[0]) == []
    lost = [replace(r, f1=1.0) if (r.label, r.corpus) == ("SM a=0", "NCBI") else r for r in rows]
    assert sentences.cautions(score_matrices(lost)[0]) == ["SM a=0 finds next to nothing on NCBI."]
    own = [replace(r, teachers="own" if r.label == "SM a=0" else "-") for r in rows]
    assert sentences.cautions(score_matrices(own)[0]) == []
    shared = [replace(r, teachers="shared" if r.label == "SM a=0.5" else r.teachers) for r in own]
    (said,) = sentences.cautions(score_matrices(shared)[0])
    assert said.startswith("SM a=0.5: teachers shared by all seeds")
    assert sentences.cautions(score_matrices([r for r in shared if r.seed == 1])[0]) == []


def test_cost_counts_a_teacher_once_and_students_by_corpus():
    (matrix,) = score_matrices(made_rows(7, ["NCBI", "CRAFT"], seeds=(1, 2)))
    grid = page.cost(matrix)
    lines = {row[0]: row[1:] for row in grid}
    assert lines["STM"] == ["4", "0.40", "0:04:02", "1,653"]
    assert lines["MTM"] == ["2", "0.20", "0:02:01", "1,653"]
    assert lines["all"] == ["10", "1.00", "0:10:05", "1,653"]
    assert page.cost(published(1)) == []
    choosing = [
        replace(row, split="devel", label=f"SM tau={k}") for k in (1, 2) for row in made_rows(7, ["NCBI"], (1,))[2:]
    ]
    *_, of_choosing, of_all = page.cost(matrix, choosing)
    assert of_choosing[:4] == ["choosing weights", "2", "0.20", "0:02:01"]
    assert of_all[:3] == ["all", "12", "1.20"]


def test_an_average_of_models_costs_nothing():
    rows = made_rows(7, ["NCBI", "CRAFT"], seeds=(1, 2))
    average = [
        replace(row, label="STMs", tokens=0, seconds=0.0) for row in rows if row.label == "STM" and row.seed == 1
    ]
    assert page.cost(score_matrices([*rows, *average])[0]) == page.cost(score_matrices(rows)[0])


def test_chosen_weights_are_shown_where_they_differ_between_corpora():
    rows = made_rows(7, ["NCBI", "CRAFT"])
    assert page.chosen_weights(score_matrices(rows)[0]) == []
    rows = [replace(row, tau=3.0) if (row.label, row.corpus) == ("SM soft", "NCBI") else row for row in rows]
    head, *lines = page.chosen_weights(score_matrices(rows)[0])
    assert head == ["", "SM soft"]
    assert [line[0] for line in lines] == ["CRAFT", "NCBI"]
    assert [line[1][-5:] for line in lines] == ["tau 1", "tau 3"]


@pytest.mark.parametrize(("p", "said"), [
    ((0.01, 0.2), ["STM beats MTM on NCBI (+1.5, 95 % limits +0.5 to +2.5, p = 0.010)."]),
    ((0.01, 0.02), ["STM beats MTM on NCBI (+1.5, 95 % limits +0.5 to +2.5, p = 0.010) and CRAFT (+0.5, 95 % limits "
                    "+0.1 to +0.9, p = 0.020)."]),
    ((0.3, 0.2), ["No two models can be told apart within any of the 2 corpora."]),
])  # fmt: skip
def test_tests_within_corpora_in_words(p, said):
    tests = [Within("NCBI", "STM", "MTM", 100, Interval(1.5, 0.5, 2.5), p[0]),
             Within("CRAFT", "STM", "MTM", 100, Interval(0.5, 0.1, 0.9), p[1])]  # fmt: skip
    assert sentences.within_sentences(tests, 0.05) == said
    assert said[0] in Checked(section(published(1), tests)).text


def test_no_difference_within_corpora_takes_narrow_limits():
    narrow, wide = Interval(0.1, -0.3, 0.5), Interval(0.1, -0.3, 0.6)
    tests = [Within("NCBI", "STM", "MTM", 100, narrow, 0.5), Within("CRAFT", "MTM", "STM", 100, narrow, 0.5),
             Within("ExPTM", "STM", "MTM", 100, wide, 0.5)]  # fmt: skip
    assert (
        sentences.within_sentences(tests, 0.05)[0]
        == "No difference between MTM and STM on NCBI and CRAFT (limits within 0.5)."
    )
    verdicts = [line[-1] for line in page.within_corpora(tests, [], 0.05)["lines"]]
    assert sorted(verdicts) == ["no difference", "no difference", "undecided"]


def test_whatever_settings_hold_is_shown():
    settings = {
        "experiment": {"name": "logits", "students": [{"label": "SM a=0", "alpha": 0.0}], "table": None},
        "settings": {"model": {"words": {"dim": 200}}, "train": {"epochs": 20}},
        "corpora": {"NCBI": {"hash": "ab" * 32, "tokens": {"train": 123456}}, "<mine>": {"hash": "cd" * 32}},
        "versions": {"jax": "0.7"},
        "seeds": [1, 2],
        "device": "2 x cpu",
    }
    text = Checked(page.what_ran(settings)).text
    shown = ("logits", "SM a=0", "model.words.dim", "200", "NCBI", "abababababab…", "123,456", "tokens train", "<mine>")
    for part in (*shown, "jax", "0.7", "1, 2", "2 x cpu"):
        assert part in text
    assert "no settings.json" in page.what_ran({})
    Checked(page.what_ran({"corpora": {"NCBI": "a hash"}, "odd": [1, {"a": 2}]}))
