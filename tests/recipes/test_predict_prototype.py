"""Prediction of crystals that are a prototype with other elements."""

import numpy as np
import pandas as pd
import pytest

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.models import ENCODERS
from epitaxy.models.fixed_vectors import FixedVectors
from epitaxy.models.heads import Head
from epitaxy.models.mixture import Expert, Mixture
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.predict import predict, predict_prototype
from epitaxy.structures.prototype import substituted
from salts import cif
from tiny import WITHOUT_LENGTHS, encoder, model

ELEMENTS = {"Cs": ["Na", "K"], "Cl": ["F", "Br"]}


@pytest.fixture
def prototype(tmp_path):
    path = tmp_path / "CsCl.cif"
    path.write_text(cif("x", elements=("Cs", "Cl"), edge=4.12))
    return path


def test_predictions_are_those_of_the_crystals(prototype, tmp_path):
    net = model("cgcnn")
    out = tmp_path / "out.csv"
    found = predict_prototype(net, prototype, ELEMENTS, out)
    pd.testing.assert_frame_equal(found, predict(net, substituted(prototype, ELEMENTS)))
    assert list(pd.read_csv(out)["id"]) == ["CsCl:Na-F", "CsCl:Na-Br", "CsCl:K-F", "CsCl:K-Br"]
    assert found["y_pred"].nunique() == 4


def test_elements_without_a_vector_are_listed(prototype, tmp_path):
    out = tmp_path / "out.csv"
    found = predict_prototype(model("cgat"), prototype, {"Cs": ["Na", "Lr"]}, out)
    assert list(found["id"]) == ["CsCl:Na-Cl"]
    assert list(pd.read_csv(f"{out}.dropped.csv")["id"]) == ["CsCl:Lr-Cl"]


@pytest.mark.parametrize("name", ENCODERS)
def test_only_models_that_read_lengths_warn_and_see_the_volume(name, prototype, caplog):
    pytest.importorskip("pymatgen.core.structure_prediction.volume_predictor")
    net = model(name)
    assert net.encoder.reads_lengths == (name not in WITHOUT_LENGTHS)
    found = [
        predict_prototype(net, prototype, ELEMENTS, volume=volume)["y_pred"]
        for volume in ("prototype", "predicted")
    ]
    warned = [r.getMessage() for r in caplog.records if "reads bond lengths" in r.getMessage()]
    if net.encoder.reads_lengths:
        assert "those of the prototype;" in warned[0]
        assert "those of the scaled prototype;" in warned[1]
        assert not np.allclose(*found, rtol=1e-6)
    else:
        assert not warned
        np.testing.assert_array_equal(*found)


def test_whether_parts_of_a_mixture_read_lengths():
    composition = FixedVectors(descriptor="composition", width=3)
    geometry = FixedVectors(descriptor="geometry", width=3)
    assert not composition.reads_lengths
    assert geometry.reads_lengths
    shells = Expert("a", "cgat", encoder("cgat"))
    lengths = Expert("b", "cgcnn", encoder("cgcnn"))
    table = Expert("c", "descriptor", composition)
    assert not Mixture(experts=[shells, table], k=1).reads_lengths
    assert Mixture(experts=[shells, lengths], k=1).reads_lengths


def test_nothing_that_is_read_is_written_over(prototype, tmp_path):
    head = Head(6, PropertySpec(name="gap"), TargetScaler())
    net = PropertyModel("cgcnn", encoder("cgcnn"), {"gap": head})
    rows = tmp_path / "rows.csv"
    rows.write_text("Cs,Cl\nK,Br\n")
    for out in (prototype, rows):
        with pytest.raises(InputError, match="is one of the inputs"):
            predict_prototype(net, prototype, rows, out)
