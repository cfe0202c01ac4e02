"""What the header of a bundle may say; it may have been written by anybody."""

import pytest
from pydantic import ValidationError

from epitaxy.evaluation.bundle import Fold, Header, Member

OUTSIDE = ("../other", "a/../../b", "/etc/model", "C:model", "a\\..\\b")


@pytest.mark.parametrize("path", OUTSIDE)
def test_models_lie_below_the_folder(path):
    with pytest.raises(ValidationError, match="leads out of the folder"):
        Member(name="x", weight=1.0, path=path, is_network=True)
    with pytest.raises(ValidationError, match="leads out of the folder"):
        Fold(members=(), difficulty=path)
    with pytest.raises(ValidationError, match="leads out of the folder"):
        Header(spec={"name": "y"}, descriptors=(), sources=(path,), folds=(), whole=())
    assert Member(name="x", weight=1.0, path="folds/0/a..b", is_network=True).path == "folds/0/a..b"
