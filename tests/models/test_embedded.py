import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sibling.canonical import canonical_json
from sibling.config import EmbeddedModel
from sibling.errors import ModelError
from sibling.models import chat, convert, embedded, files, tiny
from sibling.models.fetch import GGUF_SHA256
from sibling.models.load import load_policy


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIBLING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(folder):
    """A directory as unpacking leaves it, with a tiny model instead of the real one."""
    tiny.save_tiny(folder, "llama", 0)
    manifest = {"layout": embedded._LAYOUT, "gguf": GGUF_SHA256, "files": files.digest_files(folder)}
    (folder / "sibling.json").write_bytes(canonical_json(manifest))
    return folder


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.delenv("SIBLING_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert embedded.cache_dir() == Path.home() / ".cache" / "sibling"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert embedded.cache_dir() == Path("/x/sibling")
    monkeypatch.setenv("SIBLING_CACHE", "/y")
    assert embedded.cache_dir() == Path("/y")
    assert embedded.location() == Path("/y/models/smollm2-135m-instruct-b179c952")


def test_an_intact_directory_is_used_as_it_is(cache):
    folder = put(embedded.location())
    assert embedded.ensure() == (folder, files.digest_files(folder))
    assert embedded.get_model("embedded") == embedded.get_model("smollm2-135m-instruct") == folder
    row = embedded.list_models()[0]
    assert (row["state"], row["path"]) == ("in the cache", str(folder))


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "extra", "manifest", "torn manifest", "layout"])
def test_a_damaged_directory_is_not_used(cache, damage, monkeypatch):
    folder = put(embedded.location())
    weights, manifest = folder / "model.safetensors", folder / "sibling.json"
    data = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "cut":
        weights.write_bytes(data[:-1])
    elif damage == "missing":
        weights.unlink()
    elif damage == "extra":
        (folder / "model-00002.safetensors").write_bytes(data)
    elif damage == "manifest":
        manifest.unlink()
    elif damage == "torn manifest":
        manifest.write_bytes(manifest.read_bytes()[:-5])
    else:
        monkeypatch.setattr(embedded, "_LAYOUT", embedded._LAYOUT + 1)
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # it is made again, which here fails at the first step
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(ModelError, match="cannot be fetched"):
        embedded.ensure()
    assert folder.exists()  # what cannot be replaced is left as it was
    assert [p for p in folder.parent.iterdir() if p.name.startswith(".smol")] == []


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIBLING_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cache cannot be written.*SIBLING_CACHE"):
        embedded.ensure()


def test_the_lock_is_held_by_one_at_a_time(tmp_path):
    order = []
    inside = threading.Event()

    def second():
        inside.wait()
        with embedded._locked(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with embedded._locked(tmp_path):
        inside.set()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_list_names_every_model_and_its_recipe(cache):
    rows = {row["name"]: row for row in embedded.list_models()}
    assert list(rows) == ["smollm2-135m-instruct", *(f"tiny-{a}" for a in tiny.ARCHITECTURES)]
    assert rows["tiny-qwen3"]["recipe"] == "model.type=tiny model.architecture=qwen3"
    assert rows["smollm2-135m-instruct"]["path"] is None
    assert rows["smollm2-135m-instruct"]["parameters"] == convert.PARAMETERS


def test_get_refuses_other_names(cache):
    with pytest.raises(ModelError, match=r"nothing to fetch.*model\.architecture=llama"):
        embedded.get_model("tiny-llama")
    with pytest.raises(ModelError, match=r"no model of this name.*smollm2-135m-instruct, tiny-llama"):
        embedded.get_model("smollm3")


# ------------------------------------------------------------------------------- with the real model

GOLDEN = "sha256:23d80ce44e74eba1ab897216fdc18a6cf4fc670256238f9c95907ada357408b3"


@pytest.mark.slow
def test_the_real_model_is_smollm2(tmp_path):
    loaded = load_policy(EmbeddedModel(), base=tmp_path)
    model, tokenizer = loaded.model, loaded.tokenizer
    assert (loaded.eos_ids, loaded.context, loaded.licence) == ((2,), 8192, "Apache-2.0")
    assert loaded.architecture == "LlamaForCausalLM"
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.rms_norm_eps == 1e-5
    assert getattr(model.config, "quantization_config", None) is None
    assert (len(tokenizer), tokenizer.eos_token, tokenizer.eos_token_id) == (49152, "<|im_end|>", 2)
    assert tokenizer.chat_template == convert.TEMPLATE
    assert chat.render(tokenizer, [{"role": "user", "content": "Hi"}]) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert chat.golden_render_digest(tokenizer) == GOLDEN
    # Digits stand alone, so two spaces before a number are one token (the GGUF reader loses this).
    assert tokenizer.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]
    assert "Paris" in convert.greedy_answer(model, tokenizer, "What is the capital of France?")


@pytest.mark.slow
def test_two_processes_at_once_make_one_directory_and_damage_is_repaired(cache):
    code = "from sibling.models.embedded import ensure; p, _ = ensure(); print(p, p.stat().st_ino)"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outcomes = [process.communicate(timeout=280) for process in both]
    assert [p.returncode for p in both] == [0, 0], outcomes
    folder = embedded.location()
    # The same inode twice: the second process found what the first had made and did not make it again.
    assert outcomes == [(f"{folder} {folder.stat().st_ino}\n", "")] * 2
    assert sorted(p.name for p in folder.parent.iterdir()) == [".lock", folder.name]
    _, digests = embedded.ensure()

    with (folder / "model.safetensors").open("r+b") as f:
        f.truncate(f.seek(0, os.SEEK_END) // 2)
    assert embedded.ensure() == (folder, digests)
    shutil.rmtree(cache)
