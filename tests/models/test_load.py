import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from sibling.canonical import digest, file_digest
from sibling.config import DirectoryModel, TinyModel
from sibling.errors import ModelError
from sibling.models import chat, tiny
from sibling.models.load import load_policy
from sibling.models.quiet import quiet


def edit(path, **changes):
    data = json.loads(path.read_text())
    for key, value in changes.items():
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
    path.write_text(json.dumps(data))


@pytest.fixture
def folder(tmp_path):
    return tiny.save_tiny(tmp_path / "model", "llama", 0)


def load(folder, **options):
    return load_policy(DirectoryModel(path=folder.name, **options), base=folder.parent)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_saved_model_reads_back_the_same(tmp_path, architecture):
    built = load_policy(TinyModel(architecture=architecture, seed=5), base=tmp_path)
    tiny.save_tiny(tmp_path / "model", architecture, 5)
    read = load_policy(DirectoryModel(path="model"), base=tmp_path)
    ids = torch.from_numpy(chat.encode(read.tokenizer, "Is 7 more than 5? <|im_end|>"))[None]
    with torch.no_grad():
        assert torch.equal(built.model(ids).logits, read.model(ids).logits)
    assert chat.golden_render_digest(built.tokenizer) == chat.golden_render_digest(read.tokenizer)
    for loaded in (built, read):
        assert (loaded.eos_ids, loaded.context, loaded.licence) == ((2,), 512, None)
        assert loaded.architecture == type(loaded.model).__name__
        assert loaded.digest == digest(loaded.files)
        assert not loaded.model.training
        assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}


def test_tiny_digests_tell_seeds_apart(tmp_path):
    digests = [load_policy(TinyModel(seed=s), base=tmp_path).digest for s in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_facts_of_a_directory(folder):
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    loaded = load(folder)
    assert loaded.source["type"] == "directory"
    assert loaded.source["path"] == "model"
    assert loaded.licence == "mit"
    assert loaded.files["model.safetensors"] == file_digest(folder / "model.safetensors")
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} <= set(loaded.files)


def test_half_precision_files_become_float32(folder):
    weights = {k: v.to(torch.bfloat16) for k, v in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder / "config.json", dtype="bfloat16")
    assert {p.dtype for p in load(folder).model.parameters()} == {torch.float32}


def test_every_end_token_counts(folder):
    edit(folder / "generation_config.json", eos_token_id=[0, 1])
    assert load(folder).eos_ids == (0, 1, 2)


def test_the_end_of_turn_counts_though_nothing_else_names_it(folder):
    edit(folder / "generation_config.json", eos_token_id=None)
    edit(folder / "config.json", eos_token_id=None)
    edit(folder / "tokenizer_config.json", eos_token=None)
    assert load(folder).eos_ids == (2,)


def test_no_end_token_at_all(folder):
    edit(folder / "generation_config.json", eos_token_id=None)
    edit(folder / "config.json", eos_token_id=None)
    edit(folder / "tokenizer_config.json", eos_token=None)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    with pytest.raises(ModelError, match=r"no end-of-sequence token.*tokenizer_config\.json"):
        load(folder)


def test_no_chat_template(folder):
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"no chat template.*model\.chat_template=FILE"):
        load(folder)


def test_a_template_from_the_recipe_is_the_one_used_and_saved(folder):
    (folder / "chat_template.jinja").unlink()
    (folder.parent / "chat.jinja").write_text("Q: {{ messages[0]['content'] }}\nA:")
    loaded = load(folder, chat_template="chat.jinja")
    assert chat.render(loaded.tokenizer, [{"role": "user", "content": "Hi"}]) == "Q: Hi\nA:"
    loaded.tokenizer.save_pretrained(folder.parent / "saved")
    assert (folder.parent / "saved" / "chat_template.jinja").read_text().startswith("Q:")


def test_a_template_that_is_not_there(folder):
    with pytest.raises(ModelError, match=r"absent\.jinja cannot be read"):
        load(folder, chat_template="absent.jinja")


def test_missing_directory(tmp_path):
    with pytest.raises(ModelError, match="nowhere does not exist"):
        load_policy(DirectoryModel(path="nowhere"), base=tmp_path)


def test_pickled_weights_are_not_read(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="pickled weights only"):
        load(folder)


def test_pickled_weights_beside_some_other_safetensors_are_not_read_either(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(ModelError, match="The model of model cannot be loaded"):
        load(folder)


def test_missing_weights_are_not_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 missing or misshapen: model\.layers\.1\.mlp\.up_proj\.weight"):
        load(folder)


def test_misshapen_weights(folder):
    edit(folder / "config.json", intermediate_size=96)
    with pytest.raises(ModelError):
        load(folder)


def test_a_torn_weight_file(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"The model of model cannot be loaded.*files are whole"):
        load(folder)


def test_a_torn_config(folder):
    (folder / "config.json").write_text('{"model_type":')
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


def test_an_unknown_architecture(folder):
    edit(folder / "config.json", model_type="gpt99")
    with pytest.raises(ModelError, match=r"config of model cannot be loaded.*gpt99"):
        load(folder)


def test_a_torn_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="tokenizer of model cannot be loaded"):
        load(folder)


def test_quantized_weights(folder):
    edit(folder / "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    with pytest.raises(ModelError, match=r"quantized.*bitsandbytes"):
        load(folder)


def test_a_tokenizer_too_large_for_the_model(folder):
    tokenizer = tiny.build_tokenizer()
    tokenizer.add_tokens(["many", "more"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="highest id 260, 259 embeddings"):
        load(folder)


def test_the_tokenizer_file_is_the_truth_for_every_architecture(tmp_path):
    # AutoTokenizer of transformers 5 rebuilds qwen2 tokenizers from a class and adds a token the file lacks.
    folder = tiny.save_tiny(tmp_path / "model", "qwen2", 0)
    loaded = load(folder)
    assert len(loaded.tokenizer) == 259
    assert chat.tokenizer_digest(loaded.tokenizer) == chat.tokenizer_digest(tiny.build_tokenizer())


def test_quiet_is_restored(folder, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(folder)
    with quiet():
        assert not logging.is_progress_bar_enabled()
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")
