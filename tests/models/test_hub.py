import pytest
from huggingface_hub import constants

from sibling.config import HubModel
from sibling.errors import ModelError
from sibling.models import hub, tiny
from sibling.models.load import load_policy

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, and no network allowed."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def put_model(cache):
    repository = cache / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return tiny.save_tiny(repository / "snapshots" / COMMIT, "llama", 0)


def test_a_model_in_the_cache_loads_offline(cache, tmp_path):
    folder = put_model(cache)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    assert hub.snapshot("someone/tiny").resolve() == folder.resolve()
    loaded = load_policy(HubModel(id="someone/tiny"), base=tmp_path)
    assert loaded.source["id"] == "someone/tiny"
    assert loaded.source["commit"] == COMMIT
    assert loaded.licence == "mit"


def test_a_model_not_in_the_cache_names_the_way_out(cache):
    with pytest.raises(ModelError) as caught:
        hub.snapshot("someone/absent")
    text = str(caught.value)
    for part in ("someone/absent", str(cache), "HF_HUB_OFFLINE", "sibling models get someone/absent", "model.path"):
        assert part in text


def test_another_revision_than_the_cached_one_is_absent(cache):
    put_model(cache)
    with pytest.raises(ModelError, match="revision v2"):
        hub.snapshot("someone/tiny", "v2")


def test_no_network_without_offline_mode(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the discard port: nothing listens
    with pytest.raises(ModelError, match=r"cannot be fetched.*Check the network"):
        hub.snapshot("someone/absent")


@pytest.mark.parametrize("name", ["a/b/c", "not a name", "../x"])
def test_a_malformed_id(cache, name):
    with pytest.raises(ModelError, match=r"not the name of a model.*model.type=directory"):
        hub.snapshot(name)
