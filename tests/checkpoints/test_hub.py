"""A repository of the hub, through its own client, on a server of this machine."""

import base64
import hashlib
import json
import re
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from epitaxy.checkpoints.model_files import load_model, model_folder, save_model
from epitaxy.checkpoints.sharing import zoo_pull, zoo_push
from epitaxy.checkpoints.sharing_files import write_checksums
from epitaxy.core.errors import InputError
from salts import content
from tiny import changed, model, tensors

hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")


class Handler(BaseHTTPRequestHandler):
    """The few answers of the hub that pulling and pushing need."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, files):
        self.files = files
        super().__init__(*arguments)

    @property
    def commit(self) -> str:
        """The state of the repository, as a hash of its files."""
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, code, body=b"", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        if re.fullmatch(r"/api/models/lab/gaps(/revision/[\w.]+)?", self.path):
            self.answer(200, {"id": "lab/gaps", "sha": self.commit, "siblings": []})
        elif match := re.fullmatch(r"/lab/gaps/resolve/[0-9a-f]{40}/(.+)", self.path):
            data = self.files.get(match[1])
            if data is None:
                self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=self.commit)
            else:
                tag = f'"{hashlib.sha1(data).hexdigest()}"'
                self.answer(200, data, ETag=tag, X_Repo_Commit=self.commit)
        else:
            self.answer(404, {"error": "no such repository"}, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET  # noqa: N815 - the name is that of the library

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.answer(200, {"url": f"http://{self.headers['Host']}/lab/gaps", "id": "lab/gaps"})
        elif "/preupload/" in self.path:
            asked = json.loads(sent)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
            ]
            self.answer(200, {"files": modes})
        elif "/commit/" in self.path:
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    data = base64.b64decode(line["value"]["content"])
                    self.files[line["value"]["path"]] = data
            self.answer(
                200,
                {
                    "commitUrl": f"http://{self.headers['Host']}/lab/gaps/commit/{self.commit}",
                    "commitOid": self.commit,
                },
            )
        else:
            self.answer(200, {})


@pytest.fixture
def repository(monkeypatch, tmp_path):
    """Return the files of the repository lab/gaps, the only one of the hub."""
    files = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, files=files))
    server.daemon_threads = True
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = hub.constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{")
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{{{template[2]}"
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield files
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a model."""
    (tmp_path / "run").mkdir()
    save_model(model(), tmp_path / "run")
    return tmp_path / "run"


def test_pull(repository, folder, tmp_path):
    pushed = zoo_push(folder, tmp_path / "out", licence="mit")
    repository.update(content(tmp_path / "out"))
    repository["pytorch_model.bin"] = b"\x80\x04."
    pulled = zoo_pull("hub:lab/gaps@v1", sha256=pushed.sha256)
    assert pulled.place == "zoo:gaps"
    assert not changed(tensors(model()), tensors(load_model("zoo:gaps")))
    origin = json.loads((model_folder("zoo:gaps") / "origin.json").read_text())
    assert len(origin.pop("commit")) == 40
    assert origin == {"source": "hub:lab/gaps@v1", "sha256": pushed.sha256}
    assert "pytorch_model.bin" not in content(model_folder("zoo:gaps"))


def test_push_and_pull(repository, folder):
    pushed = zoo_push(folder, "hub:lab/gaps", licence="mit", description="Gaps.")
    assert repository.keys() == {
        "README.md",
        "checksums.json",
        "model.json",
        "model.safetensors",
    }
    assert pushed.sha256 == hashlib.sha256(repository["checksums.json"]).hexdigest()
    assert repository["README.md"].startswith(b"---\nlibrary_name: epitaxy\nlicense: mit\n")
    assert zoo_pull("hub:lab/gaps").sha256 == pushed.sha256


def test_changed_and_absent_files(repository, folder, tmp_path):
    zoo_push(folder, tmp_path / "out")
    repository.update(content(tmp_path / "out"))
    with pytest.raises(InputError, match=r"but 0000.* was expected; nothing was kept"):
        zoo_pull("hub:lab/gaps", sha256="0" * 64)
    repository["model.safetensors"] = repository["model.safetensors"][:-1] + b"!"
    with pytest.raises(
        InputError, match=r"'model.safetensors' of 'hub:lab/gaps' is missing or dam"
    ):
        zoo_pull("hub:lab/gaps")
    repository["model.safetensors"] += bytes(1000)
    with pytest.raises(InputError, match=r"bytes where at most [\d,]+ are allowed"):
        zoo_pull("hub:lab/gaps", name="other")
    del repository["checksums.json"]
    with pytest.raises(InputError, match="cannot be pulled"):
        zoo_pull("hub:lab/gaps", name="other", overwrite=True)
    with pytest.raises(InputError, match="cannot be pulled"):
        zoo_pull("hub:lab/nothing")


def test_the_list_of_a_repository_is_checked_before_anything_is_fetched(repository, folder):
    (folder / "evil.json").write_text("{}")
    write_checksums(folder)
    text = (folder / "checksums.json").read_text().replace("evil.json", "../evil.json")
    repository.update(content(folder) | {"checksums.json": text.encode()})
    with pytest.raises(InputError, match="does not stay in its folder"):
        zoo_pull("hub:lab/gaps")
