"""The 15 corpora: facts that equal the files, and names that lead to folders."""

import csv
import hashlib
from pathlib import Path

import pytest

import kd_jax.report.published
from kd_jax.corpora.conll import write_split
from kd_jax.corpora.registry import corpus_hash, find, load, registry
from kd_jax.errors import InputError
from kd_jax.structs import Corpus, Sentence

SENTENCE = Sentence(("a", "b"), ("O", "B-X"))


def put(data_dir: Path, *folders: str) -> None:
    for folder in folders:
        (data_dir / folder).mkdir(parents=True)
        for split in ("train", "test"):
            write_split(data_dir / folder / f"{split}.tsv", [SENTENCE])


def counted(path: Path) -> tuple[int, int, int]:
    """Sentences, tokens and entities of a file of the collection, by its blank lines and B- tags."""
    blocks = [
        [row for row in block.split("\n") if row and not row.startswith("-DOCSTART-\t")]
        for block in path.read_bytes().decode().split("\n\n")
    ]
    rows = [row for block in blocks for row in block]
    return sum(map(bool, blocks)), len(rows), sum(row.split("\t")[1].startswith("B-") for row in rows)


def test_the_names_are_the_papers_in_its_order():
    with (Path(kd_jax.report.published.__file__).parent / "published_tables.csv").open() as tables:
        assert list(registry()) == list(dict.fromkeys(row["dataset"] for row in csv.DictReader(tables)))[:15]
    folders = [folder for entry in registry().values() for folder in entry.folders]
    assert len(set(folders)) == len(folders)
    assert registry()["BC4CHEMD"].splits == {}


def test_registered_facts_equal_the_files(real_corpora):
    seen = 0
    for name, folder in find(real_corpora).items():
        entry = registry()[name]
        assert folder.name == entry.folders[0]
        types = set()
        for split, facts in entry.splits.items():
            path = folder / f"{split}.tsv"
            assert counted(path) == (facts.sentences, facts.tokens, facts.entities), path
            pinned = (name, split) != ("JNLPBA", "train")
            assert (facts.sha256 is not None) == (facts.bytes is not None) == pinned
            if pinned:
                assert path.stat().st_size == facts.bytes
                assert hashlib.sha256(path.read_bytes()).hexdigest() == facts.sha256
            types |= {row.split("\t")[1][2:] for row in path.read_text().split("\n") if "\tB-" in row}
            seen += 1
        assert tuple(sorted(types)) == entry.types
    assert seen == 42


def test_every_real_corpus_is_read_with_its_own_counts(loaded):
    assert list(loaded) == [name for name in registry() if name != "BC4CHEMD"]
    for corpus in loaded.values():
        entry = registry()[corpus.name]
        assert corpus.entity_types == entry.types
        for split, sentences in corpus.splits.items():
            tags = [tag for s in sentences for tag in s.tags]
            facts = entry.splits[split]
            assert (len(sentences), len(tags)) == (facts.sentences, facts.tokens)
            assert sum(tag[0] == "B" for tag in tags) == facts.entities
    assert len({corpus_hash(corpus) for corpus in loaded.values()}) == len(loaded)


@pytest.mark.parametrize("folder", ["NCBI-disease-IOB", "NCBI-disease", "NCBI-IOB", "NCBI"])
@pytest.mark.parametrize("by_paper", [True, False])
def test_a_registered_corpus_is_found_by_either_name(tmp_path, folder, by_paper):
    put(tmp_path, folder)
    (corpus,) = load(tmp_path, ["NCBI" if by_paper else folder])
    assert corpus.name == "NCBI"
    assert list(find(tmp_path)) == ["NCBI"]


def test_all_that_is_there_in_order(tmp_path):
    put(tmp_path, "zoo", "Ant", "NCBI-disease-IOB", "Ex-PTM", "JNLPBA")
    put(tmp_path, "JNLPBA-IOBES", "Ex-PTM-IOBES", "BC5CDR-chem-IOB")  # other notations and extracts
    (tmp_path / "notes").mkdir()
    (tmp_path / "file.tsv").touch()
    assert list(find(tmp_path)) == ["ExPTM", "JNLPBA", "NCBI", "Ant", "zoo"]
    assert list(find(tmp_path, ["zoo", "BC5CDR-chem-IOB", "NCBI"])) == ["zoo", "BC5CDR-chem-IOB", "NCBI"]


def test_a_folder_named_outright_is_the_one_taken(tmp_path):
    put(tmp_path, "AnatEM", "AnatEM-IOB")
    assert find(tmp_path)["AnatEM"].name == "AnatEM-IOB"
    assert find(tmp_path, ["AnatEM-IOB"])["AnatEM"].name == "AnatEM-IOB"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["NCBY"], "no corpus 'NCBY'; did you mean 'NCBI'"),
        (["my_corpsu"], "did you mean 'my_corpus'"),
        (["ExPTM"], r"Ex-PTM-IOB: missing, .*corpora fetch --data_dir="),
        (["BC4CHEMD"], r"/BC4CHEMD: missing, .*cambridgeltl/MTL-Bioinformatics-2016"),
        (["NCBI", "NCBI"], "'NCBI' is named twice"),
        (["NCBI", "NCBI-disease-IOB"], "'NCBI' is named twice"),
        (["JNLPBA-IOBES"], "mis-split.*JNLPBA"),
        (["empty"], "empty: holds no train, devel or test file"),
        ([".."], r"no corpus '\.\.'"),
        (["x" * 1000], "no corpus"),
        ([], "no corpus is named"),
    ],
)
def test_a_wrong_name_is_answered(tmp_path, names, words):
    put(tmp_path, "NCBI-disease-IOB", "my_corpus", "JNLPBA-IOBES")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=words):
        load(tmp_path, names)


def test_a_wrong_folder_is_answered(tmp_path):
    put(tmp_path / "clone" / "data", "NCBI-disease-IOB")
    (tmp_path / "file").touch()
    for path, words in [
        (tmp_path / "absent", "no such folder"),
        (tmp_path / "file", "is not a folder"),
        (tmp_path / "clone", "but .*clone/data does"),
        (tmp_path, "holds no corpus"),
        (tmp_path / "clone" / "data" / "NCBI-disease-IOB", "is itself a corpus; .*clone/data"),
        (tmp_path / ("x" * 300), "can't be read"),
    ]:
        with pytest.raises(InputError, match=words):
            load(path)


def test_a_fault_beside_the_chosen_corpora_does_not_matter(tmp_path):
    put(tmp_path, "good", "bad")
    (tmp_path / "bad" / "test.txt").touch()
    assert [c.name for c in load(tmp_path, ["good"])] == ["good"]
    with pytest.raises(InputError, match=r"bad: test\.tsv and test.txt"):
        load(tmp_path)


def made(**splits: list[Sentence]) -> Corpus:
    return Corpus("any", {split: tuple(sentences) for split, sentences in splits.items()}, ("O", "B-X", "I-X"))


def test_the_hash_is_of_content_alone():
    one, two = Sentence(("a",), ("O",)), Sentence(("b",), ("B-X",))
    both = Sentence(("a", "b"), ("O", "B-X"))
    different = [
        made(train=[one, two], test=[one]),
        made(train=[two, one], test=[one]),
        made(train=[both], test=[one]),
        made(train=[one], test=[two, one]),
        made(train=[one], devel=[two], test=[one]),
        made(train=[one, Sentence(("b",), ("O",))], test=[one]),
    ]
    assert len({corpus_hash(corpus) for corpus in different}) == len(different)
    reordered = Corpus("other", dict(reversed(different[4].splits.items())), ())
    assert corpus_hash(reordered) == corpus_hash(different[4])
    # Fixed for good: stored knowledge and checkpoints name it.
    assert (
        corpus_hash(made(train=[both], test=[one]))
        == hashlib.sha256(b"\x0ctest\na\tO\n\n\x0ctrain\na\tO\nb\tB-X\n\n").hexdigest()
    )


def test_a_neighbour_that_can_not_be_read_is_said_and_the_others_are_read(open_folder, as_nobody):
    put(open_folder, "mine", "shut")
    (open_folder / "shut").chmod(0o700)
    said = []
    with as_nobody():
        assert list(find(open_folder, say=said.append)) == ["mine"]
        assert said == [f"not read: {open_folder / 'shut'}: can't be read (Permission denied)"]
        with pytest.raises(InputError, match="shut: can't be read: Permission denied"):
            find(open_folder, ["shut"])
        (corpus,) = load(open_folder, ["mine"])
    assert corpus.name == "mine"


def test_an_extract_alone_in_a_folder_is_named_with_the_way_to_ask_for_it(tmp_path, capsys):
    put(tmp_path, "BC5CDR-chem-IOB")
    with pytest.raises(InputError, match=r"holds no corpus .*BC5CDR-chem-IOB: .*--datasets=BC5CDR-chem-IOB"):
        load(tmp_path)
    (corpus,) = load(tmp_path, ["BC5CDR-chem-IOB"])
    assert corpus.name == "BC5CDR-chem-IOB"
    assert capsys.readouterr().err == ""
    put(tmp_path, "mine")
    assert [corpus.name for corpus in load(tmp_path)] == ["mine"]
    told = capsys.readouterr().err
    assert "not read: BC5CDR-chem-IOB: " in told
    assert told.count("\n") == 1


def test_a_devel_file_under_a_name_that_is_not_read_is_said(tmp_path):
    put(tmp_path, "mine")
    (tmp_path / "mine" / "devel.tsv.gz").touch()
    (tmp_path / "mine" / "notes.txt").touch()
    said = []
    (corpus,) = load(tmp_path, say=said.append)
    assert list(corpus.splits) == ["train", "test"]
    assert said == [
        f"{tmp_path / 'mine'}: devel.tsv.gz: not read; devel is called devel, dev, val, valid or validation"
    ]
    write_split(tmp_path / "mine" / "devel.tsv", [SENTENCE])
    said.clear()
    load(tmp_path, say=said.append)
    assert said == []


IOB1 = "a\tI-X\nb\tB-X\n\nc\tO\n"


def test_a_scheme_for_each_corpus(tmp_path):
    put(tmp_path, "new", "NCBI-disease-IOB")
    for split in ("train", "test"):
        (tmp_path / "NCBI-disease-IOB" / f"{split}.tsv").write_text(IOB1)
    with pytest.raises(InputError, match="IOB1 if the whole file is so"):
        load(tmp_path)
    with pytest.raises(InputError, match=r"new/.*IOB1"):
        load(tmp_path, scheme="IOB1")
    for name in ("NCBI", "NCBI-disease-IOB"):
        for scheme in (f"{name}:IOB1", f"{name}:IOB1,new:IOB2", f"IOB2, {name}:IOB1", "IOB1,new:IOB2"):
            ncbi, new = load(tmp_path, scheme=scheme)
            assert ncbi.splits["train"][0].tags == ("B-X", "B-X")
            assert new.splits["train"] == (SENTENCE,)


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        ("mein:IOB1", "no corpus 'mein' is read here; did you mean 'mine'"),
        ("mine:IOB1,mine:IOB2", "each once"),
        ("IOB1,IOB2", "each once"),
        ("mine:", "write VALUE for all corpora"),
        ("", "write VALUE for all corpora"),
        ("mine:IOB3", "tag scheme 'IOB3' is unknown"),
    ],
)
def test_a_scheme_that_can_not_be_meant(tmp_path, scheme, says):
    put(tmp_path, "mine")
    with pytest.raises(InputError, match=says):
        load(tmp_path, scheme=scheme)


def test_bare_tags_are_one_type_by_corpus_or_flag(tmp_path):
    put(tmp_path, "mine", "NCBI-disease-IOB", "CRAFT")
    for name in ("mine", "NCBI-disease-IOB", "CRAFT"):
        for split in ("train", "test"):
            (tmp_path / name / f"{split}.tsv").write_text("a\tB\nb\tI\n\nc\tO\n")
    types = {corpus.name: corpus.entity_types for corpus in load(tmp_path)}
    assert types == {"mine": ("mine",), "NCBI": ("Disease",), "CRAFT": ("CRAFT",)}
    types = {corpus.name: corpus.entity_types for corpus in load(tmp_path, entity_type="X,NCBI:Y")}
    assert types == {"mine": ("X",), "NCBI": ("Y",), "CRAFT": ("X",)}
    assert load(tmp_path, ["mine"])[0].splits["train"][0].tags == ("B-mine", "I-mine")
