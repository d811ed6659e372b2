"""lakegate/catalog.py: declarations are found and read, and every mistake is named with the nearest valid word."""

from pathlib import Path

import pytest

from lakegate.catalog import (
    check_name,
    dataset_names,
    load_dataset,
    load_model,
    model_names,
    parse_dataset,
    parse_model,
    split_reference,
)
from lakegate.errors import BadDeclaration, BadInput, UnknownLabel, UnknownName
from lakegate.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[1]
DATASET = """
task = "detection"
labels = ["RBC", "WBC"]
[slices.crowded]
where = "objects >= 15"
"""
MODEL = """
[data]
train = ["cells"]
[gate]
"map50.all.min" = 0.7
"""
WAIVER = '[waivers."map50.all.min"]\nreason = "dirty lens"\nowner = "ada"\nexpires = 2031-05-01'
OWN = '[metrics.worst_recall]\nfunction = "team.metrics:worst"\nhigher_is_better = true'


@pytest.fixture
def catalog(tmp_path):
    """Settings of a checkout with the dataset ``cells``, its larger twin ``cells-open``, and the model ``counter``."""
    for place, text in {"datasets/cells": DATASET, "datasets/cells-open": DATASET, "models/counter": MODEL}.items():
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / ("model.toml" if "models" in place else "dataset.toml")).write_text(text)
    return Settings(checkout=tmp_path)


def write_model(catalog, text):
    (catalog.models_dir / "counter" / "model.toml").write_text(text)


def test_the_declarations_of_this_repository_are_valid():
    settings = Settings(checkout=CHECKOUT)
    assert {load_dataset(settings, name).name for name in dataset_names(settings)} >= {"blood-cells"}
    assert {load_model(settings, name).name for name in model_names(settings)} >= {"blood-cells"}


def test_declarations_are_listed_and_read(catalog):
    assert (dataset_names(catalog), model_names(catalog)) == (["cells", "cells-open"], ["counter"])
    assert load_dataset(catalog, "cells").labels == ("RBC", "WBC")
    assert [rule.key for rule in load_model(catalog, "counter").rules] == ["map50.all.min"]


def test_the_digest_counts_the_content_and_not_the_comments():
    digests = {parse_dataset("cells", text).digest for text in (DATASET, "# a comment" + DATASET)}
    assert len(digests) == 1
    assert parse_dataset("cells", DATASET.replace("15", "16")).digest not in digests


@pytest.mark.parametrize("name", ["ab", "Blood-Cells", "blood.cells", "-cells", "a" * 64, "../cells", "blood_cells", ""])
def test_a_name_that_lakefs_would_refuse_is_refused_with_an_example(name):
    with pytest.raises(BadDeclaration, match=r"3 to 63 small letters, digits and dashes, as in 'blood-cells'"):
        check_name(name, "dataset")


@pytest.mark.parametrize("name", ["models", "results"])
def test_reserved_names_are_refused(name):
    with pytest.raises(BadDeclaration, match="is reserved; choose another name"):
        check_name(name, "dataset")


def test_an_unknown_dataset_is_named_with_the_nearest_one_and_how_to_make_it(catalog):
    with pytest.raises(UnknownName, match=r"no dataset 'cels'.*did you mean 'cells'\?; make it with `lakegate data init cels`"):
        load_dataset(catalog, "cels")


def test_an_unknown_model_is_named_with_the_nearest_one_and_how_to_make_it(catalog):
    with pytest.raises(UnknownName, match=r"no model 'conter'.*did you mean 'counter'\?; make it with `lakegate model init c"):
        load_model(catalog, "conter")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('lables = ["RBC"]\n' + DATASET, "unknown key 'lables'; did you mean 'labels'?"),
        (DATASET + "[splt]\ntest = 0.2", "unknown key 'splt'; did you mean 'split'?"),
        (DATASET + "[split]\ntset = 0.2", r"unknown key 'tset' in \[split\]; did you mean 'test'?"),
        (DATASET + '[split]\nform = "hash"', r"unknown key 'form' in \[split\]; did you mean 'from'?"),
        (DATASET + "[quality]\nmin_side_cm = 64", r"unknown key 'min_side_cm' in \[quality\]; did you mean 'min_side_px'?"),
        (DATASET + '[slices.night]\nwher = "objects > 1"', r"unknown key 'wher' in \[slices.night\]; did you mean 'where'?"),
        (DATASET + "[slices.night]", "'slices.night.where' is missing"),
        ('labels = ["RBC"]', "'task' is missing"),
        (DATASET.replace("detection", "detektion"), "'task' = 'detektion' is not allowed; did you mean 'detection'?"),
        ('on_bad_sample = "quarantaine"\n' + DATASET, "is not allowed; did you mean 'quarantine'?"),
        (DATASET.replace('"RBC", "WBC"', ""), "'labels' = .*at least 1 item"),
        (DATASET.replace('"RBC", "WBC"', '"RBC", "RBC"'), "'labels': labels stand twice: RBC"),
        (DATASET.replace('"RBC", "WBC"', '"RBC", " "'), "a label is empty"),
        (
            DATASET.replace("objects", "object"),
            "'slices.crowded.where': 'object >= 15': no field is called 'object'; did you mean",
        ),
        (
            DATASET + "[slices.white]\nwhere = '\"WBB\" in labels'",
            r"\[slices.white\] where: label 'WBB' is not declared; did you mean 'WBC'?",
        ),
        (DATASET + "[slices.white]\nwhere = 'count(\"WBB\") > 1'", "label 'WBB' is not declared; did you mean 'WBC'?"),
        (DATASET + '[slices.all]\nwhere = "objects > 1"', r"\[slices.all\]: a slice is named by .* not all, old_data, diff"),
        (DATASET + '[slices."a.b"]\nwhere = "objects > 1"', r"\[slices.a.b\]: a slice is named by"),
        (DATASET + '[rename]\nRed = "RCB"', r"\[rename\] Red: label 'RCB' is not declared; did you mean 'RBC'?"),
        (DATASET + "[quality]\nbrightness = [235, 20]", "the lower limit is above the upper one"),
        (DATASET + "[quality]\nbrightness = [nan, 20]", "'quality.brightness.0' = nan.*finite"),
        (DATASET + "[split]\ntest = 20", "'split.test' = 20: .*less than or equal to 1"),
        (DATASET + "[split]\ntest = 0.6\nval = 0.6", "test = 0.6 and val = 0.6 are more than 1 together"),
        ('name = "cells"\n' + DATASET, "'name' is the folder's name; leave it out"),
        ("task = detection", "not TOML: "),
    ],
)
def test_a_mistake_in_a_dataset_is_named_with_what_would_be_right(text, message):
    with pytest.raises(BadDeclaration, match=message) as raised:
        parse_dataset("cells", text, "datasets/cells/dataset.toml")
    assert str(raised.value).startswith("datasets/cells/dataset.toml: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gate]", "'data' is missing"),
        (MODEL + "[trainning]", "unknown key 'trainning'; did you mean 'training'?"),
        (MODEL + "[training]\nepoch = 3", r"unknown key 'epoch' in \[training\]; did you mean 'epochs'?"),
        (MODEL + "[architecture]\ninput_px = [320, 300]", "multiples of 32"),
        (MODEL + "[export]\nbatch = [8, 4, 8]", r"batch = \[8, 4, 8\]: expected 1 <= min <= opt <= max"),
        (
            MODEL + "[[export.engines]]\nprecisoin = 'fp16'",
            r"unknown key 'precisoin' in \[export.engines.0\]; did you mean 'precision'?",
        ),
        (MODEL + '[training]\nepochs = "many"', "'training.epochs' = 'many': .*valid integer"),
        (
            MODEL + "[operating]\nscore_treshold = 0.3",
            r"unknown key 'score_treshold' in \[operating\]; did you mean 'score_threshold'?",
        ),
        (
            MODEL.replace("map50", "mapp50"),
            r": \[gate\] 'mapp50.all.min': no metric is called 'mapp50'; did you mean 'map50'?",
        ),
        (MODEL.replace("all.min", "all.mim"), "'mim' is no kind of limit; did you mean 'min'?"),
        (MODEL.replace("0.7", "nan"), "'gate.map50.all.min' = nan.*finite"),
        (
            MODEL.replace('"', "", 4).replace("[cells]", '["cells"]'),
            r'\[gate\] map50: write the whole key in quotes, as in "map50.all.min"',
        ),
    ],
)
def test_a_mistake_in_a_model_is_named_with_what_would_be_right(text, message):
    with pytest.raises(BadDeclaration, match=message) as raised:
        parse_model("counter", text, "models/counter/model.toml")
    assert str(raised.value).startswith("models/counter/model.toml: ")


def test_all_mistakes_are_named_at_once():
    with pytest.raises(BadDeclaration, match=r"'tset' in \[split\].*; unknown key 'lables'"):
        parse_dataset("cells", 'lables = ["RBC"]' + DATASET + "[split]\ntset = 0.2")


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('"cells"', '"cels"', UnknownName, "no dataset 'cels'.*did you mean 'cells'?"),
        ('"cells"', '"cells:croded"', UnknownName, "'cells:croded': no such slice; did you mean 'crowded'?"),
        ("map50.all", "map50.crowdet", BadDeclaration, "no cell is called 'crowdet'; did you mean 'crowded'?"),
        ("map50.all", "map50.old", BadDeclaration, "no cell is called 'old'; known: all, crowded, diff, label:"),
        ("map50.all", "miou.all", BadDeclaration, "miou is no metric of detection models; expected one of empty_alarm_rate, "),
        ("map50.all", "recall.all.WCB", UnknownLabel, "label 'WCB' is not declared; did you mean 'WBC'?"),
    ],
)
def test_words_of_a_model_are_checked_against_its_datasets(catalog, old, new, error, message):
    write_model(catalog, MODEL.replace(old, new))
    with pytest.raises(error, match=message):
        load_model(catalog, "counter")


def test_datasets_of_one_model_must_agree_on_their_labels(catalog):
    (catalog.datasets_dir / "cells-open" / "dataset.toml").write_text('task = "detection"\nlabels = ["WBC", "RBC"]')
    write_model(catalog, MODEL.replace('["cells"]', '["cells", "cells-open"]'))
    with pytest.raises(BadDeclaration, match=r"expected \['RBC', 'WBC'\], 'cells-open' has \['WBC', 'RBC'\]"):
        load_model(catalog, "counter")


def test_a_further_dataset_and_a_slice_are_cells_of_the_gate(catalog):
    keys = '"recall.cells-open.WBC.min" = 0.5\n"map.crowded.max_drop" = 0.1'
    write_model(catalog, MODEL.replace('["cells"]', '["cells"]\nevaluate = ["cells-open"]') + keys)
    assert [rule.cell for rule in load_model(catalog, "counter").rules] == ["all", "cells-open", "crowded"]


@pytest.mark.parametrize(("reference", "parts"), [("cells", ("cells", "")), ("cells:night", ("cells", "night"))])
def test_a_reference_is_split_into_dataset_and_slice(reference, parts):
    assert split_reference(reference) == parts


def test_a_file_that_is_not_utf8_is_refused_by_name(catalog):
    (catalog.datasets_dir / "cells" / "dataset.toml").write_bytes(DATASET.replace("RBC", "Ä").encode("latin-1"))
    with pytest.raises(BadDeclaration, match=r"dataset\.toml: not UTF-8 text.*save the file as UTF-8"):
        load_dataset(catalog, "cells")


def test_a_declaration_cannot_be_changed_after_loading(catalog):
    with pytest.raises(ValueError, match="frozen"):
        load_dataset(catalog, "cells").labels = ("RBC",)


def test_what_a_person_declares_wrongly_is_bad_input():
    assert issubclass(BadDeclaration, BadInput)
