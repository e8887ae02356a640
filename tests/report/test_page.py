"""The page: self-contained, well-formed, escaped, and true to what it is made from."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from helpers.made_results import made_rows

from kd_jax.evaluation.significance import Interval
from kd_jax.report import page
from kd_jax.report.comparison import Within, compare
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


def test_the_page_is_well_formed_and_needs_nothing_else():
    matrix = published(4)
    content = page.over_corpora(compare(matrix)) + page.grid(["", "<b>"], [["a&b", "1"]])
    document = Checked(page.page("A <title>", "<p>lead</p>", [("One & two", content)]))
    assert "A <title>" in document.text
    assert "SM task beats STM on 15 of 15 corpora" in document.text
    assert "chi2 = 18.061" in document.text
    assert all(source.startswith(("#", "data:")) for source in document.sources)


def test_a_table_at_a_glance_names_the_best_first():
    assert page.glance(score_table(published(1), "Table 1. X", {})) == (
        "Table 1. X: F1, average of 15 corpora: SM a=0.5 84.1, MTM 84.0, SM a=0 83.7, SM a=1 83.3, STM 83.1."
    )
    one = score_table(published(1).only(["NCBI"]), "X", {})
    assert page.glance(one) == "X: F1, NCBI: SM a=0.5 85.3, MTM 85.0, SM a=0 84.9, STM 84.3, SM a=1 84.2."


def test_cost_counts_a_teacher_once_and_students_by_corpus():
    (matrix,) = score_matrices(made_rows(7, ["NCBI", "CRAFT"], seeds=(1, 2)))
    text = page.cost(matrix)
    lines = {row[0]: row[1:] for row in (re.findall(r">([^<>]+)</t[hd]>", line) for line in text.split("<tr>")[1:])}
    assert lines["STM"] == ["4", "0.40", "0:04:02", "1,653"]
    assert lines["MTM"] == ["2", "0.20", "0:02:01", "1,653"]
    assert lines["all"] == ["10", "1.00", "0:10:05", "1,653"]
    assert page.cost(published(1)) == ""
    choosing = [
        replace(row, split="devel", label=f"SM tau={k}") for k in (1, 2) for row in made_rows(7, ["NCBI"], (1,))[2:]
    ]
    text = Checked(page.cost(matrix, choosing)).text
    assert re.search(r"choosing weights +2 +0.20 +0:02:01", text)
    assert re.search(r"all +12 +1.20", text)


def test_chosen_weights_are_shown_where_they_differ_between_corpora():
    rows = made_rows(7, ["NCBI", "CRAFT"])
    assert page.chosen_weights(score_matrices(rows)[0]) == ""
    rows = [replace(row, tau=3.0) if (row.label, row.corpus) == ("SM soft", "NCBI") else row for row in rows]
    text = Checked(page.chosen_weights(score_matrices(rows)[0])).text
    assert "tau 3" in text
    assert "tau 1" in text
    assert "SM soft" in text
    assert "STM" not in text


@pytest.mark.parametrize(("p", "said"), [
    ((0.01, 0.2), ["STM beats MTM on NCBI (+1.5, 95 % limits +0.5 to +2.5, p = 0.010)."]),
    ((0.01, 0.02), ["STM beats MTM on NCBI (+1.5, 95 % limits +0.5 to +2.5, p = 0.010) and CRAFT (+0.5, 95 % limits "
                    "+0.1 to +0.9, p = 0.020)."]),
    ((0.3, 0.2), ["No two models can be told apart within any of the 2 corpora."]),
])  # fmt: skip
def test_tests_within_corpora_in_words(p, said):
    tests = [Within("NCBI", "STM", "MTM", 100, Interval(1.5, 0.5, 2.5), p[0]),
             Within("CRAFT", "STM", "MTM", 100, Interval(0.5, 0.1, 0.9), p[1])]  # fmt: skip
    assert page.within_sentences(tests, 0.05) == said
    assert said[0] in Checked(page.within_corpora(tests, [], 0.05)).text


def test_no_difference_within_corpora_takes_narrow_limits():
    narrow, wide = Interval(0.1, -0.3, 0.5), Interval(0.1, -0.3, 0.6)
    tests = [Within("NCBI", "STM", "MTM", 100, narrow, 0.5), Within("CRAFT", "MTM", "STM", 100, narrow, 0.5),
             Within("ExPTM", "STM", "MTM", 100, wide, 0.5)]  # fmt: skip
    assert (
        page.within_sentences(tests, 0.05)[0]
        == "No difference between MTM and STM on NCBI and CRAFT (limits within 0.5)."
    )
    text = Checked(page.within_corpora(tests, [], 0.05)).text
    assert (text.count("undecided"), text.count("no difference")) == (1, 2)


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
    assert page.what_ran({}) == ""
    Checked(page.what_ran({"corpora": {"NCBI": "a hash"}, "odd": [1, {"a": 2}]}))
