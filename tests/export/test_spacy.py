"""The component for spaCy: the tagger's own entities, on spaCy's tokens, beside those that were there."""

import json
import subprocess
import sys

import pytest

import kd_jax
from kd_jax.export.delivery import ship

spacy = pytest.importorskip("spacy", reason="the extra spacy is not installed")

TEXTS = ["XGene1 aken XGene2. It XGene3 acts.", "", "nothing here, ebum (XGene4)-XGene5."]


@pytest.fixture(scope="module")
def shipped(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("spacy") / "model"
    ship(folder, out, "float32", None, None)
    return out


@pytest.fixture
def pipeline(shipped):
    from kd_jax.export import spacy_component

    assert spacy_component.make_component
    nlp = spacy.blank("en")
    nlp.add_pipe("kd_jax", config={"model": str(shipped)})
    return nlp


def test_entities_are_the_taggers_own(pipeline, shipped):
    tagger = kd_jax.load(shipped)
    found = 0
    for text, doc in zip(TEXTS, pipeline.pipe(TEXTS), strict=True):
        assert [e.text for e in doc.ents] == [e.text for e in pipeline(text).ents]
        spans = {(e.start_char, e.end_char, e.label_) for e in doc.ents}
        for entity in tagger(text):
            # spaCy's tokens may be wider than ours.
            assert any(s <= entity.start and entity.end <= e and kind == entity.type for s, e, kind in spans)
        found += len(spans)
    assert found > 0


def test_what_was_there_stays_where_it_is_longer(shipped):
    from kd_jax.export import spacy_component

    assert spacy_component.make_component
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PHRASE", "pattern": "XGene1 aken XGene2"}])
    nlp.add_pipe("kd_jax", config={"model": str(shipped)})
    assert [e.text for e in nlp(TEXTS[0]).ents if e.label_ == "PHRASE"] == ["XGene1 aken XGene2"]


def test_it_is_found_by_its_name_alone(shipped):
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="spacy_factories", name="kd_jax")
    assert entry.value == "kd_jax.export.spacy_component:make_component"


def test_a_program_that_imports_spacy_alone_gets_the_component(pipeline, shipped):
    """The entry point alone leads from spaCy to it."""
    program = (
        "import json, sys, spacy\n"
        "assert not any(name.partition('.')[0] == 'kd_jax' for name in sys.modules)\n"
        "nlp = spacy.blank('en')\n"
        "nlp.add_pipe('kd_jax', config={'model': sys.argv[1]})\n"
        "print(json.dumps([[[e.text, e.label_] for e in nlp(text).ents] for text in sys.argv[2:]]))\n"
    )
    command = [sys.executable, "-c", program, str(shipped), *TEXTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=shipped.parent)
    assert done.returncode == 0, done.stderr
    expected = [[[e.text, e.label_] for e in pipeline(text).ents] for text in TEXTS]
    assert json.loads(done.stdout.splitlines()[-1]) == expected
    assert any(expected)


def test_no_document_of_a_pipe_waits_for_the_others(pipeline):
    component = pipeline.get_pipe("kd_jax")
    asked = []

    def documents():
        for n in range(5):
            asked.append(n)
            yield pipeline.make_doc(f"XGene{n}")

    next(iter(component.pipe(documents(), batch_size=2)))
    assert asked == [0, 1]
