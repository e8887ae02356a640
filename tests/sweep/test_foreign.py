"""Another program's files in a work folder are refused before a run writes anything."""

import re

import pytest
from helpers.runs import ask

from kd_jax.errors import InputError


def test_a_column_that_somebody_added_is_refused_before_anything_is_trained(corpora, tmp_path):
    ask(corpora, tmp_path, datasets=["First"])
    table, models = tmp_path / "results.csv", sorted(tmp_path.rglob("model.json"))
    noted = "\n".join(f"{line},{'note' if i == 0 else 'mine'}" for i, line in enumerate(table.read_text().splitlines()))
    table.write_text(noted)
    with pytest.raises(InputError, match=r"results[.]csv:1: the column 'note' is none of a run's"):
        ask(corpora, tmp_path, datasets=["First"], seeds="3")
    assert table.read_text() == noted
    assert sorted(tmp_path.rglob("model.json")) == models


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("settings.json", '{"editor.tabSize": 4}', "was not written by kd_jax; name another --workdir"),
        ("lanes.json", "[]", "was not written by kd_jax; name another --workdir"),
        ("metrics.jsonl", '{"loss": 1}\n', "was not written by kd_jax; name another --workdir"),
        ("metrics.jsonl", "mine", "was not written by kd_jax; name another --workdir"),
        ("results.csv", "corpus,f1\nmine,99\n", ":1: no column experiment"),
        ("types.csv", "corpus;f1\n", ":1: its columns are parted by semicolons"),
    ],
)
def test_a_folder_with_another_programs_files_is_refused_before_anything_is_trained(
    corpora, tmp_path, name, content, says
):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=f"{name.replace('.', '[.]')}.*{re.escape(says)}"):
        ask(corpora, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == content
