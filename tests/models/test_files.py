import pytest

from sibling.canonical import sha256
from sibling.errors import ModelError
from sibling.models import files


def put(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_a_whole_directory_passes(tmp_path):
    files.check_directory(put(tmp_path, "config.json", "model.safetensors", "tokenizer.json"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["model.safetensors", "tokenizer.json"], "has no config.json.*model.safetensors, tokenizer.json"),
        (["adapter_config.json", "adapter_model.safetensors"], "holds an adapter.*Merge"),
        (["config.json", "tokenizer.json"], "has no weights"),
        (["config.json", "tokenizer.json", "pytorch_model.bin"], "pickled weights only.*pytorch_model.bin.*convert"),
        (["config.json", "tokenizer_config.json", "model.safetensors"], "has no tokenizer.*tokenizer.json"),
    ],
)
def test_what_is_lacking_is_named(tmp_path, names, message):
    with pytest.raises(ModelError, match=message):
        files.check_directory(put(tmp_path, *names))


def test_a_missing_directory_and_a_file(tmp_path):
    with pytest.raises(ModelError, match=r"does not exist.*relative to the recipe"):
        files.check_directory(tmp_path / "none", name="none")
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(ModelError, match="is not a directory"):
        files.check_directory(path)


def test_a_long_listing_is_cut(tmp_path):
    folder = put(tmp_path, *(f"f{i:02}" for i in range(11)))
    with pytest.raises(ModelError, match="f07 and 3 more"):
        files.check_directory(folder)


def test_digests_are_of_what_decides_the_outcome(tmp_path):
    put(tmp_path, "model.safetensors", "config.json", "tokenizer_config.json", "README.md", "notes.txt", "code.py")
    found = files.digest_files(tmp_path)
    assert list(found) == ["code.py", "config.json", "model.safetensors", "tokenizer_config.json"]
    assert found["config.json"] == sha256(b"config.json")


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: mit\n---\nText", "mit"),
        ("---\nlicense:\n- apache-2.0\n- mit\n---\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: qwen\n---\n", "qwen"),
        ("---\nlicense: other\n---\n", None),
        ("---\nlicense: []\n---\n", None),
        ("---\nlanguage: en\n---\nlicense: mit", None),
        ("# Title\n---\nlicense: mit\n---\n", None),
        ("---\n: [\n---\n", None),
        ("no front matter", None),
        (None, None),
    ],
)
def test_licence_of_the_model_card(tmp_path, card, expected):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert files.licence(tmp_path) == expected
