"""What the doctor says, line by line, and that it fetches nothing."""

import json
from pathlib import Path

import pytest

from sibling.canonical import canonical_json
from sibling.config import parse_recipe
from sibling.errors import ModelError
from sibling.models import roofline
from sibling.models.tiny import build_tiny, save_tiny
from sibling.models.work import Cache, memory_estimate, shape_of
from sibling.pipeline import doctor

NAMES = ["torch", "kernels", "roofline", "dtype", "cache", "model", "memory", "budget"]


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Quick measurements, and a cache that holds nothing."""
    monkeypatch.setattr(roofline, "BUFFER", 2**20)
    monkeypatch.setenv("SIBLING_CACHE", str(tmp_path / "cache"))


def recipe(model=None, **changes):
    base = doctor.default_recipe().resolved()
    return parse_recipe({**base, "model": model or {"type": "tiny"}, **changes})


def told(asked=None, base=None):
    return dict(doctor.training(asked, base))


def smollm(folder: Path) -> Path:
    """The config.json of the embedded model, without its weights."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
        "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
        "max_position_embeddings": 8192, "tie_word_embeddings": True,
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(canonical_json(config))
    return folder


def test_the_machine_needs_no_torch():
    assert [name for name, _ in doctor.machine()] == ["sibling", "python", "cores", "sandbox", "disk"]


def test_a_model_of_135_million_weights_is_sized_from_its_config_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "free_memory", lambda: 20_000_000_000)
    smollm(tmp_path / "m")
    asked = recipe({"type": "directory", "path": "m"}, learner={"compute_dtype": "bfloat16"})
    lines = told(asked, tmp_path)
    assert list(lines) == NAMES
    assert lines["model"] == "m: 134.5 M weights, 30 layers"
    assert lines["dtype"] == "bfloat16, as the recipe says (learner.compute_dtype)"
    # Weights 4 bytes each, moments 8; bfloat16 copies of 134.5 M products; 4,096 tokens of 30 x 16,128 bytes.
    for part in ("weights 0.54", "gradients 0.54", "optimizer 1.08", "bfloat16 weights 0.27", "activations 1.98"):
        assert part in lines["memory"]
    assert "of 20.0 GB free" in lines["memory"]
    # 8 prompts of 256 tokens with 8 completions of 64.
    assert lines["budget"].endswith("fit, the recipe has 4,096; a whole step has at most 6,144")


def test_the_speeds_of_both_dtypes_and_of_a_copy(tmp_path):
    line = told(recipe())["roofline"]
    assert line.startswith("bfloat16 ") and ", float32 " in line and "memory copy" in line
    assert line.count("GFLOP/s (") == 2 and line.count("with 64 rows") == 2


def test_the_choice_of_the_dtype_has_its_reason():
    seconds = {"bfloat16": 0.001, "float32": 0.004}
    assert doctor._reason("bfloat16", seconds) == (
        "bfloat16: bfloat16 is faster here, a matrix product takes 1.0 ms in bfloat16 against 4.0 ms in float32"
    )
    assert "not 1.2 times faster" in doctor._reason("float32", seconds)


def test_what_does_not_fit_is_told_with_what_would(tmp_path, monkeypatch):
    smollm(tmp_path / "m")
    asked = recipe({"type": "directory", "path": "m"}, learner={"compute_dtype": "bfloat16"})

    def budget(free):
        monkeypatch.setattr(doctor, "free_memory", lambda: free)
        return told(asked, tmp_path)["budget"]

    assert budget(10**9) == ("4,096 tokens do not fit; learner.finetune.type=lora, or a smaller model, would")
    tight = budget(4_500_000_000)
    assert tight.startswith("4,096 tokens do not fit; learner.micro_batch_tokens=2")
    assert tight.endswith(" or learner.gradient_checkpointing=true would")
    smaller = int(tight.split("micro_batch_tokens=")[1].split()[0])
    model = doctor.outline(asked.model, tmp_path)
    held = doctor.holding(asked, model, shape_of(model), "bfloat16", 256)
    fits = [memory_estimate(shape_of(model), held, micro_batch_tokens=smaller + n).total <= 4.5e9 for n in (0, 1)]
    assert fits == [True, False]


# ----------------------------------------------------------------------------------------- what is not here


def test_the_embedded_model_is_not_fetched(tmp_path):
    lines = told()
    assert list(lines) == NAMES[:6]
    assert "no embedded model in the cache yet" in lines["model"]
    assert "`sibling models get smollm2-135m-instruct`" in lines["model"]
    assert not (tmp_path / "cache" / "models").exists()


def test_the_embedded_model_in_the_cache(tmp_path):
    from sibling.models.embedded import location

    smollm(location())
    assert told()["model"] == "the embedded model: 134.5 M weights, 30 layers"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"type": "directory", "path": "nowhere"}, "There is no model in nowhere"),
        ({"type": "hub", "id": "nobody/nothing-of-this-name"}, "`sibling models get nobody/nothing-of-this-name`"),
        ({"type": "hub", "id": "not a name"}, "no config.json of not a name"),
    ],
)
def test_a_model_that_is_not_here_is_named_with_the_way_to_it(model, words, tmp_path):
    lines = told(recipe(model), tmp_path)
    assert list(lines) == NAMES[:6] and words in lines["model"]


def test_a_config_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text(json.dumps({"model_type": "no such thing"}))
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        doctor.outline(recipe({"type": "directory", "path": "m"}).model, tmp_path)


# --------------------------------------------------------------------------------------------- what is held


def holding(**changes):
    model, _ = build_tiny("llama", 0)
    asked = recipe(**changes)
    return doctor.holding(asked, model, shape_of(model), "float32", 100)


def test_the_cache_holds_what_is_decoded_at_once():
    assert holding().cache == Cache(rows=64, tokens=64, prompts=8, prompt_tokens=100)
    few = holding(sampling={"batch_rows": 20, "max_tokens": 9}).cache
    assert few == Cache(rows=20, tokens=9, prompts=3, prompt_tokens=100)


def test_adapters_are_counted_by_the_layers_they_are_put_on():
    both = holding(learner={"finetune": {"type": "lora", "rank": 2, "target_modules": ["q_proj", "down_proj"]}})
    assert both.trainable == 2 * 2 * ((64 + 64) + (128 + 64))  # rank, layers, inputs and outputs
    assert both.beside == 4 * 107_200  # the merged model that is sampled from
    everything = holding(learner={"finetune": {"type": "lora", "rank": 2}})
    assert everything.trainable == 2 * 2 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))  # and not the head


def test_other_models_of_a_recipe():
    whole = 4 * 107_200
    kl = {"type": "grpo", "kl": {"beta": 0.1}}
    assert holding().beside == 0
    assert holding(objective=kl).beside == whole
    lora = {"finetune": {"type": "lora"}}
    assert holding(objective=kl, learner=lora).beside == whole  # the base without its adapters is the reference
    assert holding(objective={"type": "ppo", "kl": {"beta": 0.0}}).beside == 4 * whole  # weights, gradients, moments


def test_prompts_are_as_long_as_the_recipe_lets_them_be():
    model, _ = build_tiny("llama", 0)  # a context of 512 tokens
    assert doctor.prompt_tokens(recipe(), model) == 256
    assert doctor.prompt_tokens(recipe(sampling={"max_prompt_tokens": 40}), model) == 40
    assert doctor.prompt_tokens(recipe(sampling={"max_tokens": 500}), model) == 12
    assert doctor.step_tokens(recipe(sampling={"prompts_per_step": 3, "group_size": 2, "max_tokens": 5}), 7) == 51


def test_a_saved_model_is_sized_like_the_one_in_memory(tmp_path):
    save_tiny(tmp_path / "m", "qwen2", 0)
    model = doctor.outline(recipe({"type": "directory", "path": "m"}).model, tmp_path)
    assert all(p.is_meta for p in model.parameters())
    assert shape_of(model) == shape_of(build_tiny("qwen2", 0)[0])


def test_free_memory_is_in_bytes():
    assert 10**7 < doctor.free_memory() < 10**14
