"""``epitaxy import`` and ``epitaxy export`` with checkpoints of the published ALIGNN."""

from pathlib import Path

import numpy as np
import pytest
import torch

from epitaxy.checkpoints.model_files import load_model

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "alignn_2023.4.1.npz"
PREFIX = "small/state_dict/"


@pytest.fixture
def published(tmp_path):
    """Write a small checkpoint of the published code and return its path and state dict."""
    with np.load(GOLDEN) as file:
        state = {
            key.removeprefix(PREFIX): torch.tensor(file[key])
            for key in file
            if key.startswith(PREFIX)
        }
    path = tmp_path / "checkpoint_500.pt"
    torch.save({"model": state}, path)
    return path, state


def test_in_and_out(epitaxy, published):
    path, state = published
    found = epitaxy(
        "import", path, "--kind", "alignn", "--out", "m", "--property", "gap", "--unit", "eV"
    )
    assert found.code == 0
    assert "alignn with 38,625 parameters written to m." in found.out
    assert load_model("m").specs["gap"].unit == "eV"
    found = epitaxy("export", "m", "--out", "back.pt")
    assert found.code == 0
    assert found.out == "m written to back.pt (alignn).\n"
    assert "hidden_features=32, embedding_features=16" in found.err
    back = torch.load("back.pt", weights_only=True)["model"]
    assert list(back) == list(state)
    assert torch.equal(back["fc.weight"], state["fc.weight"])


def test_graphs_that_are_not_canonical(epitaxy, published):
    assert epitaxy("import", published[0], "--kind", "alignn-mpt", "--out", "m").code == 0
    assert load_model("m").recipe.canonical is False
    assert load_model("m").names == ("checkpoint_500",)


def test_what_cannot_be_done_is_said_in_a_sentence(epitaxy, published, trained):
    sentence = epitaxy("import", published[0], "--kind", "alignm", "--out", "m").sentence
    assert "Did you mean 'alignn'?" in sentence
    assert "is a cgcnn, which the kind" in epitaxy("export", trained, "--out", "x.pt").sentence
    assert "There is no model in" in epitaxy("export", "nowhere", "--out", "x.pt").sentence
    assert "give another name" in epitaxy("export", trained, "--out", published[0]).sentence
    assert not Path("x.pt").exists()
