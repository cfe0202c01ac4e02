"""Foreign torch files: what is read, what is refused, and that nothing is ever executed."""

import argparse
import io
import os
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epitaxy.checkpoints.foreign import InertDtype, read_torch_file
from epitaxy.core.errors import InputError

CONTENT = {
    "epoch": 3,
    "state_dict": {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(4)},
    "best": np.float64(0.25),
    "args": {"lr": [0.1, 0.2], "cuda": True, "name": None},
}


def saved(content, *, zipped: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
BYTES = {zipped: saved(CONTENT, zipped=zipped) for zipped in (True, False)}


class Evil:
    """Creates a file when unpickled by a loader that obeys."""

    def __init__(self, sentinel) -> None:
        self.sentinel = sentinel

    def __reduce__(self):
        return os.system, (f"touch {self.sentinel}",)


@pytest.fixture
def file(tmp_path):
    def write(data: bytes):
        path = tmp_path / "model.pth.tar"
        path.write_bytes(data)
        return path

    return write


@FORMATS
def test_both_formats_are_read(file, zipped):
    content = read_torch_file(file(BYTES[zipped]))
    assert list(content) == list(CONTENT)
    assert torch.equal(content["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
    assert content["best"] == 0.25
    assert type(content["best"]) is float
    assert content["args"] == CONTENT["args"]


@FORMATS
@pytest.mark.parametrize(
    "number",
    [np.float32(1.5), np.int64(-3), np.uint8(200), np.bool_(True), np.array(2.5, ">f8")[()]],
)
def test_numpy_scalars_become_plain_numbers(file, zipped, number):
    value = read_torch_file(file(saved({"x": number}, zipped=zipped)))["x"]
    assert value == number.item()
    assert type(value) is type(number.item())


@pytest.mark.shared
@pytest.mark.parametrize(("folder", "count", "tensors"), [("cgcnn", 8, 46), ("chang2022", 18, 54)])
def test_published_checkpoints_are_read(shared, folder, count, tensors):
    files = sorted((shared / "checkpoints" / folder).glob("*.pth.tar"))
    assert len(files) == count
    for path in files:
        content = read_torch_file(path)
        assert len(content["state_dict"]) == tensors
        assert {t.device.type for t in content["state_dict"].values()} == {"cpu"}
        assert float(content["normalizer"]["std"]) > 0
        assert float(content["best_mae_error"]) > 0


@FORMATS
def test_code_is_refused_and_does_not_run(file, tmp_path, zipped):
    sentinel = tmp_path / "executed"
    path = file(saved({"state_dict": {}, "extra": Evil(sentinel)}, zipped=zipped))
    with pytest.raises(InputError, match=r"'posix\.system'.*nothing was executed"):
        read_torch_file(path)
    assert not sentinel.exists()


@FORMATS
@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (eval, "eval"),
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (np.ones(2), "_reconstruct"),
    ],
)
def test_every_other_global_is_refused_by_name(file, zipped, thing, name):
    with pytest.raises(InputError, match=rf"{name}'.*refused"):
        read_torch_file(file(saved({"x": thing}, zipped=zipped)))


def test_newer_pickle_protocols_do_not_run_either(file, tmp_path):
    sentinel = tmp_path / "executed"
    stream = io.BytesIO()
    torch.save({"x": Evil(sentinel)}, stream, pickle_protocol=4)
    with pytest.raises(InputError, match="nothing was executed"):
        read_torch_file(file(stream.getvalue()))
    with pytest.raises(InputError, match="not a torch checkpoint"):
        read_torch_file(file(pickle.dumps(Evil(sentinel))))
    assert not sentinel.exists()


def test_object_scalars_are_refused():
    with pytest.raises(pickle.UnpicklingError, match="'O'"):
        InertDtype("O")


@FORMATS
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_truncated_file(file, zipped, kept):
    data = BYTES[zipped]
    with pytest.raises(InputError, match="damaged"):
        read_torch_file(file(data[: int(len(data) * kept)]))


def test_a_flipped_weight_is_noticed_in_a_zip_file(file):
    data = bytearray(BYTES[True])
    data[data.index(CONTENT["state_dict"]["weight"].numpy().tobytes()) + 6] ^= 1
    with pytest.raises(InputError, match="damaged"):
        read_torch_file(file(bytes(data)))


@pytest.mark.parametrize("data", [b"id,target\n1,2\n" * 9, bytes(range(256)), b"PK", b"\x80\x02"])
def test_other_formats(file, data):
    with pytest.raises(InputError, match="is not a torch checkpoint"):
        read_torch_file(file(data))


def test_other_zip_file(file):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("word/document.xml", "text")
    with pytest.raises(InputError, match=r"zip file but not a torch checkpoint.*data\.pkl"):
        read_torch_file(file(stream.getvalue()))


def test_torchscript(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version"):
            archive.writestr(f"m/{name}", b"3\n")
    with pytest.raises(InputError, match="TorchScript"):
        read_torch_file(tmp_path / "m.pt")


def test_no_dictionary(file):
    with pytest.raises(InputError, match="holds a Tensor, not a dictionary"):
        read_torch_file(file(saved(torch.ones(2), zipped=True)))


def test_empty_missing_folder(file, tmp_path):
    with pytest.raises(InputError, match="is empty"):
        read_torch_file(file(b""))
    with pytest.raises(InputError, match="does not exist"):
        read_torch_file(tmp_path / "none.pth")
    with pytest.raises(InputError, match="is not a file"):
        read_torch_file(tmp_path)


@FORMATS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_mutated_files_load_or_raise_input_error(file, zipped, data):
    mutated = bytearray(BYTES[zipped])
    places = st.integers(0, len(mutated) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        mutated[place] = byte
    start, stop = sorted(data.draw(st.tuples(places, places)))
    if data.draw(st.booleans()):
        del mutated[start:stop]
    with suppress(InputError):
        assert isinstance(read_torch_file(file(bytes(mutated))), dict)
