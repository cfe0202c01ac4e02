"""What `fit` hands over travels like a network."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd

from epitaxy.checkpoints.sharing import zoo_pull, zoo_push
from epitaxy.checkpoints.zoo import zoo_card
from epitaxy.recipes.predict import predict
from salts import content, in_memory


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


def test_a_fit_is_pushed_pulled_and_predicts(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("EPITAXY_CACHE", str(tmp_path / "cache"))
    pushed = zoo_push(finished.folder, tmp_path / "site" / "gaps", licence="mit")
    shared = content(tmp_path / "site" / "gaps")
    assert {"fit.json", "README.md", "checksums.json", "calibration.safetensors"} <= shared.keys()
    assert not {"predictions.parquet", "config.yaml", "score.json"} & shared.keys()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/gaps/"
        assert zoo_pull(address, sha256=pushed.sha256).place == "zoo:gaps"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    table = in_memory().select(range(5))
    pd.testing.assert_frame_equal(predict("zoo:gaps", table), predict(finished.folder, table))
    assert zoo_card("gaps").rstrip() == (finished.folder / "README.md").read_text().rstrip()
