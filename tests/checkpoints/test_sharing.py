"""Models that travel: over a web server of this machine, in archives of friend and foe."""

import contextlib
import io
import json
import os
import socket
import stat
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
import zipfile

import numpy as np
import pytest

import epitaxy.checkpoints.sharing_download as downloads
import epitaxy.checkpoints.sharing_files as files
from epitaxy.checkpoints.model_files import load_model, model_folder, pulled_names, save_model
from epitaxy.checkpoints.sharing import zoo_pull, zoo_push
from epitaxy.checkpoints.sharing_download import check_address, download
from epitaxy.checkpoints.zoo import pulled_list, zoo_card
from epitaxy.core import checksums
from epitaxy.core.errors import InputError
from salts import content
from tiny import changed, model, tensors


@pytest.fixture(autouse=True)
def _own_zoo(tmp_path, monkeypatch):
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def net():
    made = model()
    made.provenance = {"data": "/home/somebody/secret/gaps.csv", "parent": {"from": "C:\\x\\run"}}
    return made


@pytest.fixture
def run(net, tmp_path):
    """Return a folder with a model and what else a run folder may hold."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_model(net, folder)
    (folder / "config.yaml").write_text(
        "data: /home/somebody/secret/gaps.csv\nrows: {train: 8, val: 1, test: 2}\nsplit: random\n"
    )
    (folder / "metrics.json").write_text(
        json.dumps({"test": {"gap": {"mae": 0.5, "rmse": 1, "r2": None, "n": 2, "unit": "eV"}}})
    )
    (folder / "history.csv").write_text("epoch\n")
    return folder


def serve(site, folder, path="/lab/gaps/"):
    """Put a pushed folder on the server and return its address."""
    for name, data in content(folder).items():
        site.add(path + name, data)
    return site.address + path


def zipped(entries) -> bytes:
    """Return a zip archive of names and contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(entries, *, mode="w:gz") -> bytes:
    """Return a tar archive of names and contents, or of ready-made entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def parts(run, prefix="") -> list[tuple[str, bytes]]:
    return [(f"{prefix}model.{e}", (run / f"model.{e}").read_bytes()) for e in FILES]


FILES = ("json", "safetensors")


def test_pushed_and_pulled_is_the_same_model(site, run, net, tmp_path):
    pushed = zoo_push(run, tmp_path / "out", licence="mit", description="Gaps of salts.")
    listing = (tmp_path / "out" / "checksums.json").read_bytes()
    assert pushed.sha256 == files.file_sha256(tmp_path / "out" / "checksums.json")
    assert json.loads(listing)["files"].keys() == {"README.md", "model.json", "model.safetensors"}
    address = serve(site, tmp_path / "out")
    pulled = zoo_pull(address, sha256=pushed.sha256)
    assert pulled.place == "zoo:gaps"
    assert pulled_names() == ["gaps"]
    again = load_model("zoo:gaps")
    assert not changed(tensors(net), tensors(again))
    assert content(model_folder("zoo:gaps")).keys() == {
        ".epitaxy",
        "card.md",
        "checksums.json",
        "model.json",
        "model.safetensors",
        "origin.json",
    }
    origin = json.loads((model_folder("zoo:gaps") / "origin.json").read_text())
    assert origin == {"source": address, "sha256": pushed.sha256}
    assert pulled_list() == {"gaps": "Gaps of salts."}
    assert not (tmp_path / "cache" / "zoo" / ".downloads" / pushed.sha256).exists()


def test_card(run, tmp_path):
    zoo_push(run, tmp_path / "out", licence="cc-by-4.0")
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: epitaxy\nlicense: cc-by-4.0\ntags:\n")
    assert "| Test error of `gap` | MAE 0.500 eV (n = 2). Only a rough figure: 2" in card
    assert "| Data | `gaps.csv` |" in card
    assert "8 train, 1 val, 2 test" in card
    shown = b"".join(content(tmp_path / "out").values())
    assert b"somebody" not in shown
    assert b"secret" not in shown


def test_a_card_that_is_there_is_kept(site, tmp_path):
    pushed = zoo_push("zoo:cgcnn-band-gap", tmp_path / "out", licence="mit")
    zoo_pull(serve(site, tmp_path / "out"), sha256=pushed.sha256, name="copy")
    assert zoo_card("copy") == zoo_card("cgcnn-band-gap")


@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ".tgz", ".tar"])
@pytest.mark.parametrize("prefix", ["", "gaps-1.0/", "./"])
def test_archives(site, run, net, ending, prefix):
    if ending == ".zip" and prefix == "./":
        prefix = "deep/er/"
    entries = [*parts(run, prefix), (f"{prefix}README.md", b"# gaps\n\nGood ones.\n")]
    entries += [(f"{prefix}weights.pkl", b"\x80\x04."), (f"{prefix}.hidden.json", b"{}")]
    data = (
        zipped(entries) if ending == ".zip" else tarred(entries, mode=f"w:{'gz' * ('g' in ending)}")
    )
    sha = site.add(f"/gaps{ending}", data)
    site.files[f"/gaps{ending}?download=1"] = data
    pulled = zoo_pull(f"{site.address}/gaps{ending}?download=1", sha256=sha.upper())
    assert pulled.place == "zoo:gaps"
    assert not changed(tensors(net), tensors(load_model("zoo:gaps")))
    kept = content(model_folder("zoo:gaps")).keys()
    assert kept == {
        ".epitaxy",
        "card.md",
        "checksums.json",
        "model.json",
        "model.safetensors",
        "origin.json",
    }


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(name, target) -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped([(info, target)])


MALICIOUS = {
    "up.zip": (zipped([("../evil.json", b"{}")]), "does not stay in its folder"),
    "inside.zip": (zipped([("a/../../evil.json", b"{}")]), "does not stay in its folder"),
    "absolute.zip": (zipped([("/tmp/evil.json", b"{}")]), "does not stay in its folder"),
    "windows.zip": (zipped([("..\\evil.json", b"{}")]), "does not stay in its folder"),
    "drive.zip": (zipped([("C:evil.json", b"{}")]), "does not stay in its folder"),
    "control.zip": (zipped([("a\x1b[2J.json", b"{}")]), "does not stay in its folder"),
    "link.zip": (zip_link("model.json", "/etc/passwd"), "a link, a device or encrypted"),
    "up.tar": (tarred([("../evil.json", b"{}")]), "does not stay in its folder"),
    "absolute.tar": (tarred([("/evil.json", b"{}")]), "does not stay in its folder"),
    "link.tar": (tarred([(link("m", "/etc", tarfile.SYMTYPE), b"")]), "a link, a device"),
    "hard.tar": (tarred([(link("m", "/etc/passwd", tarfile.LNKTYPE), b"")]), "a link, a device"),
    "fifo.tar": (tarred([(link("m", "", tarfile.FIFOTYPE), b"")]), "a link, a device"),
    "many.zip": (zipped([(f"{n}.json", b"") for n in range(300)]), "more than 200 entries"),
    "many.tar": (tarred([(f"{n}.json", b"") for n in range(300)]), "more than 200 entries"),
    "empty.zip": (zipped([]), "holds no model.json"),
    "other.zip": (zipped([("readme.txt", b"")]), "holds no model.json"),
    "bomb.zip": (zipped([("model.json", b" " * (17 << 20))]), "more than 16,777,216 bytes"),
    "bomb.tar.gz": (tarred([("model.json", b" " * (17 << 20))]), "more than 16,777,216 bytes"),
    "text.zip": (b"nothing packed", "is no complete archive"),
    "half.tar.gz": (tarred([("model.json", os.urandom(5000))])[:3000], "is no complete archive"),
    "torn.tar.gz": (
        tarred([("model.json", b"{}" * 50_000)])[:60] + b"\xff" * 60,
        "is no complete archive",
    ),
    "half.zip": (zipped([("model.json", os.urandom(5000))])[:3000], "is no complete archive"),
    "wrong.zip": (zipped([("model.json", b"{}")]), "not the description of an epitaxy model"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", MALICIOUS)
def test_malicious_archive(site, tmp_path, name):
    data, words = MALICIOUS[name]
    sha = site.add(f"/{name}", data)
    before = content(tmp_path)
    with pytest.raises(InputError, match=words):
        zoo_pull(f"{site.address}/{name}", sha256=sha)
    assert not pulled_names()
    new = {p for p in content(tmp_path).keys() - before.keys() if not p.endswith("/archive")}
    assert not new
    assert not (tmp_path.parent / "evil.json").exists()


def test_an_archive_with_a_name_twice(site, run, recwarn):
    data = zipped([*parts(run), ("model.json", b"{}")])
    with pytest.raises(InputError, match=r"holds 'model.json' twice"):
        zoo_pull(f"{site.address}/a.zip", sha256=site.add("/a.zip", data))
    data = tarred([*parts(run), ("./model.json", b"{}")])
    with pytest.raises(InputError, match=r"holds 'model.json' twice"):
        zoo_pull(f"{site.address}/a.tar", sha256=site.add("/a.tar", data))


def test_an_archive_of_a_pickle_is_not_executed(site, run):
    """A zip as torch saves it has no model.json, and nothing in it is looked at."""
    data = zipped(
        [("archive/data.pkl", b"cos\nsystem\n(S'exit 1'\ntR."), ("archive/version", b"3")]
    )
    with pytest.raises(InputError, match=r"holds no model.json"):
        zoo_pull(f"{site.address}/a.zip", sha256=site.add("/a.zip", data))


def test_interrupted_download_continues(site, run):
    data = zipped([*parts(run), ("model_card.md", os.urandom(1 << 20))])
    sha = site.add("/gaps.zip", data)
    site.cut = [1000, 500_000]
    zoo_pull(f"{site.address}/gaps.zip", sha256=sha)
    assert [wanted for _, wanted in site.asked] == [None, "bytes=1000-", "bytes=501000-"]
    assert load_model("zoo:gaps").names == ("gap",) or list(load_model("zoo:gaps").names) == ["gap"]


def test_a_download_interrupted_for_good_continues_with_the_next_command(site, run):
    sha = site.add("/gaps.zip", zipped(parts(run)))
    site.cut = [100, 200, 300]
    with pytest.raises(
        InputError, match=r"interrupted after 600 bytes.*the same command continues"
    ):
        zoo_pull(f"{site.address}/gaps.zip", sha256=sha)
    assert not pulled_names()
    zoo_pull(f"{site.address}/gaps.zip", sha256=sha)
    assert site.asked[-1] == ("/gaps.zip", "bytes=600-")
    assert pulled_names() == ["gaps"]


def test_a_server_without_ranges_sends_all_again(site, run):
    sha = site.add("/gaps.zip", zipped(parts(run)))
    site.ranges, site.cut = False, [100]
    zoo_pull(f"{site.address}/gaps.zip", sha256=sha)
    assert len(site.asked) == 2


def test_a_file_that_is_complete_already_is_only_checked(site, tmp_path):
    sha = site.add("/x", b"12345")
    (tmp_path / "x").write_bytes(b"12345")
    download(f"{site.address}/x", tmp_path / "x", sha256=sha, largest=10)
    assert (tmp_path / "x").read_bytes() == b"12345"


def test_wrong_checksum(site, run, tmp_path):
    site.add("/gaps.zip", zipped(parts(run)))
    with pytest.raises(InputError, match=f"but {'0' * 64} was expected; nothing of it was kept"):
        zoo_pull(f"{site.address}/gaps.zip", sha256="0" * 64)
    assert not pulled_names()
    assert not list((tmp_path / "cache").rglob("archive"))


def test_a_file_that_was_changed_after_the_push(site, run, tmp_path):
    pushed = zoo_push(run, tmp_path / "out")
    address = serve(site, tmp_path / "out")
    weights = bytearray(site.files["/lab/gaps/model.safetensors"])
    weights[-1] ^= 1
    site.files["/lab/gaps/model.safetensors"] = bytes(weights)
    with pytest.raises(InputError, match=r"model.safetensors' has the checksum"):
        zoo_pull(address, sha256=pushed.sha256)
    assert not pulled_names()


def test_a_list_of_checksums_cannot_lead_elsewhere(site, tmp_path):
    for name, words in (
        ("../../evil.json", "does not stay in its folder"),
        ("http://127.0.0.1/evil.json", "does not stay in its folder"),
        ("evil.pkl", "consists of .json, .md, .safetensors only"),
        ("a/b/c/d/e.json", "consists of .json"),
    ):
        entry = {"bytes": 2, "sha256": "0" * 64}
        text = {"format": checksums.FORMAT, "version": 1, "files": {name: entry}}
        sha = site.add("/m/checksums.json", json.dumps(text).encode())
        with pytest.raises(InputError, match=words):
            zoo_pull(f"{site.address}/m/", sha256=sha)
    for text in ({}, [], {"format": "x", "version": 1, "files": {}}, {"files": {"a": 1}}):
        sha = site.add("/m/checksums.json", json.dumps(text).encode())
        with pytest.raises(InputError, match="list of checksums"):
            zoo_pull(f"{site.address}/m/", sha256=sha)
    large = {"bytes": 1 << 40, "sha256": "0" * 64}
    text = {"format": checksums.FORMAT, "version": 1, "files": {"model.safetensors": large}}
    sha = site.add("/m/checksums.json", json.dumps(text).encode())
    with pytest.raises(InputError, match="files may have at most 2,147,483,648"):
        zoo_pull(f"{site.address}/m/", sha256=sha)
    text["files"] = {"model.safetensors": {"bytes": float("inf"), "sha256": "0" * 64}}
    sha = site.add("/m/checksums.json", json.dumps(text).encode())
    with pytest.raises(InputError, match=r"checksums\.json of .* cannot be read"):
        zoo_pull(f"{site.address}/m/", sha256=sha)


def test_all_files_together_are_limited(site, run, tmp_path, monkeypatch):
    """A small archive may unpack to very much, and a list may name many large files."""
    pushed = zoo_push(run, tmp_path / "out")
    address = serve(site, tmp_path / "out")
    sha = site.add("/gaps.zip", zipped(parts(run)))
    monkeypatch.setattr(files, "LARGEST_MODEL", 1000)
    with pytest.raises(InputError, match="have more than 1,000 bytes together"):
        zoo_pull(f"{site.address}/gaps.zip", sha256=sha)
    with pytest.raises(InputError, match="a model may have at most 1,000"):
        zoo_pull(address, sha256=pushed.sha256)
    assert not pulled_names()


def test_size_limits_hold_whatever_the_server_announces(site, tmp_path, monkeypatch):
    sha = site.add("/x", b"0" * 100)
    with pytest.raises(InputError, match="more than 99 bytes"):
        download(f"{site.address}/x", tmp_path / "x", sha256=sha, largest=99)
    monkeypatch.setattr("epitaxy.checkpoints.sharing_watch.CHUNK", 10)
    monkeypatch.setattr("http.client.HTTPMessage.get", lambda self, key, default=None: default)
    with pytest.raises(InputError, match="more than 99 bytes"):
        download(f"{site.address}/x", tmp_path / "y", sha256=sha, largest=99)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://example.org/a.zip", "must begin with https://"),
        ("ftp://example.org/a.zip", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("gaps.zip", "must begin with https://"),
        ("http://127.0.0.1.example.org/a.zip", "must begin with https://"),
        ("https://me:secret@example.org/a.zip", "user name or password"),
        ("https://[::1/a.zip", "cannot be read"),
        ("https:///a.zip", "must begin with https://"),
    ],
)
def test_addresses_that_are_refused(address, words):
    with pytest.raises(InputError, match=words):
        check_address(address)
    with pytest.raises(InputError, match=words):
        zoo_pull(address, sha256="0" * 64, name="x")
    with pytest.raises(InputError, match=words):
        zoo_pull(address, sha256="0" * 64)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "[::1]"])
def test_this_machine_needs_no_https(host):
    check_address(f"http://{host}:8000/a.zip")


def test_redirections_are_checked_too(site, tmp_path):
    sha = site.add("/real.zip", b"123")
    site.redirect = {"/a": "/real.zip", "/b": "http://example.org/x", "/c": "file:///etc/passwd"}
    download(f"{site.address}/a", tmp_path / "a", sha256=sha, largest=10)
    assert (tmp_path / "a").read_bytes() == b"123"
    with pytest.raises(InputError, match="must begin with https://"):
        download(f"{site.address}/b", tmp_path / "b", sha256=sha, largest=10)
    with pytest.raises(InputError):
        download(f"{site.address}/c", tmp_path / "c", sha256=sha, largest=10)
    request = urllib.request.Request("https://example.org/a.zip")
    for address in (site.address, "http://localhost/a.zip"):
        with pytest.raises(InputError, match="which is not encrypted; it is not followed"):
            downloads._Redirections().redirect_request(request, None, 302, "", {}, address)


def test_what_the_server_refuses(site):
    with pytest.raises(InputError, match="the server answers 404"):
        zoo_pull(f"{site.address}/none.zip", sha256="0" * 64)
    assert len(site.asked) == 1
    with pytest.raises(InputError, match=r"must end in .zip"):
        zoo_pull(f"{site.address}/none", sha256="0" * 64)
    with pytest.raises(InputError, match=r"The checksum of .* is missing: give --sha256"):
        zoo_pull(f"{site.address}/none.zip")
    with pytest.raises(InputError, match="must be SHA-256"):
        zoo_pull(f"{site.address}/none.zip", sha256="md5")


def test_names(site, run):
    sha = site.add("/gaps.zip", zipped(parts(run)))
    address = f"{site.address}/gaps.zip"
    for name, words in (
        ("cgcnn-band-gap", "is a shipped model"),
        ("../up", "must consist of"),
        (".hidden", "must consist of"),
        ("", "must consist of"),
    ):
        with pytest.raises(InputError, match=words):
            zoo_pull(address, sha256=sha, name=name)
    zoo_pull(address, sha256=sha, name="zoo:mine")
    asked = len(site.asked)
    assert zoo_pull(address, sha256=sha, name="mine").place == "zoo:mine"
    assert len(site.asked) == asked
    with pytest.raises(InputError, match="There is a model zoo:mine already"):
        zoo_pull(f"{address}?other", sha256=sha, name="mine")
    zoo_pull(address, sha256=sha, name="mine", overwrite=True)
    assert pulled_names() == ["mine"]
    with pytest.raises(InputError, match="Did you mean 'mine'"):
        load_model("zoo:miine")


def test_a_card_cannot_steer_the_terminal(site, run):
    entries = [*parts(run), ("README.md", b"# x\n\n\x1b[2Jcleared\x07\n")]
    zoo_pull(f"{site.address}/a.zip", sha256=site.add("/a.zip", zipped(entries)))
    assert zoo_card("a") == "# x\n\n[2Jcleared\n"


def test_push_does_not_overwrite_the_folder_of_others(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="was not written by epitaxy"):
        zoo_push(run, tmp_path / "mine")


def test_a_pulled_model_predicts(site, run, tmp_path):
    from epitaxy.recipes.predict import predict
    from salts import in_memory

    expected = predict(run, in_memory())["y_pred"].to_numpy()
    zoo_pull(f"{site.address}/gaps.zip", sha256=site.add("/gaps.zip", zipped(parts(run))))
    np.testing.assert_array_equal(predict("zoo:gaps", in_memory())["y_pred"], expected)


def test_command_line(site, run, tmp_path, capsys):
    from epitaxy.cli.main import main

    def program(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["--quiet", *map(str, arguments)])
        shown = capsys.readouterr()
        assert end.value.code == 0, shown.err
        return shown.out

    out = program("zoo", "push", run, tmp_path / "out", "--licence", "mit")
    sha = out.split()[-1]
    address = serve(site, tmp_path / "out")
    assert "zoo:gaps is ready" in program("zoo", "pull", address, "--sha256", sha)
    assert "zoo:gaps  Predicts gap from crystal structures." in program("zoo", "list")
    assert program("zoo", "show", "gaps").startswith("# gap\n")


def test_the_hub_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'epitaxy\[hub\]'"):
        zoo_pull("hub:lab/gaps")
    with pytest.raises(InputError, match="must be OWNER/NAME"):
        __import__("epitaxy.checkpoints.sharing_hub", fromlist=["x"]).split_name("gaps")


def test_importing_needs_no_hub():
    code = "import sys, epitaxy.checkpoints.sharing; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("head", [False, True], ids=["body", "head"])
def test_a_server_of_one_byte_at_a_time_is_given_up(tmp_path, monkeypatch, head):
    monkeypatch.setattr("epitaxy.checkpoints.sharing_watch.SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/gaps.zip"

        def drip():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                if not head:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while True:
                    connection.sendall(b"H")
                    time.sleep(0.05)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(InputError, match=r"given up after .* the same command continues it"):
            zoo_pull(address, sha256="0" * 64)
        assert time.monotonic() - began < 10
        thread.join(5)
