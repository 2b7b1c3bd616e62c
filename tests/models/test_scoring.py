"""Raw scores of a tiny reward model that the test builds and saves, against transformers' own code."""

import dataclasses
import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, LlamaConfig

from sibling.config import ModelReward
from sibling.errors import ModelError
from sibling.models import tiny
from sibling.models.quiet import quiet
from sibling.models.scoring import ModelScorer, load_scorer


@dataclasses.dataclass(frozen=True)
class Asked:
    messages: tuple


TASK = Asked(({"role": "user", "content": "6 times 7?"},))
TEXTS = ["42", "It is 6 * 7 = 42.", "First\nthen\nlast", "é 四\n" * 9, "x" * 90]
READER = {"outcome": AutoModelForSequenceClassification, "process": AutoModelForTokenClassification}


def lines(text):
    ends, at = [], 0
    for line in text.split("\n"):
        at = min(at + len(line) + 1, len(text))
        if line:
            ends.append(at)
    return ends


def save(folder, kind, labels=1, **options):
    tokenizer = tiny.build_tokenizer()
    settings = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, num_labels=labels, initializer_range=0.2,
        **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **options},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(5)
        model = READER[kind].from_config(settings).eval()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return model, tokenizer


def load(folder, kind="outcome", **options):
    ends = lines if kind == "process" else lambda text: [len(text)]
    return ModelScorer(folder, kind=kind, ends=ends, **options)


def conversation(text):
    return [*TASK.messages, {"role": "assistant", "content": text}]


def test_the_outcome_is_what_the_models_own_template_and_forward_give(tmp_path):
    model, tokenizer = save(tmp_path, "outcome")
    found = load(tmp_path)([TASK] * len(TEXTS), TEXTS)
    for text, ((end, raw),) in zip(TEXTS, found, strict=True):
        ids = tokenizer.apply_chat_template(conversation(text), return_tensors="pt", return_dict=False)
        with torch.no_grad():
            assert raw == pytest.approx(float(model(ids).logits[0, 0]), abs=1e-5)
        assert end == len(text)
    assert len({round(raw, 3) for ((_, raw),) in found}) == len(TEXTS), "the scores differ, else nothing is tested"


def test_steps_are_read_at_their_last_token(tmp_path):
    model, tokenizer = save(tmp_path, "process")
    found = load(tmp_path, "process")([TASK] * len(TEXTS), TEXTS)
    for text, steps in zip(TEXTS, found, strict=True):
        assert [end for end, _ in steps] == lines(text)
        whole = tokenizer.apply_chat_template(conversation(text), tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :, 0]
        for end, raw in steps:  # one token a byte: the last byte of the step's last character
            shown = text.strip() if text.strip() in whole else text
            head = whole[: whole.rindex(shown)] + text[:end]
            last = len(tokenizer(head, add_special_tokens=False)["input_ids"]) - 1
            assert raw == pytest.approx(float(logits[last]), abs=1e-5), (text, end)


@pytest.mark.parametrize("kind", ["outcome", "process"])
def test_the_size_of_the_batch_and_its_company_do_not_matter(tmp_path, kind):
    save(tmp_path, kind)
    alone = [load(tmp_path, kind, batch_size=1)([TASK], [text])[0] for text in TEXTS]
    for size in (2, 3, 8):
        scorer = load(tmp_path, kind, batch_size=size)
        for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0]):
            together = scorer([TASK] * 5, [TEXTS[i] for i in order])
            for i, steps in zip(order, together, strict=True):
                assert steps == [(end, pytest.approx(raw, abs=1e-5)) for end, raw in alone[i]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_same_scores_every_time(tmp_path, dtype):
    save(tmp_path, "outcome")
    first = load(tmp_path, dtype=dtype, batch_size=4)([TASK] * 5, TEXTS)
    assert first == load(tmp_path, dtype=dtype, batch_size=4)([TASK] * 5, TEXTS)
    if dtype == "bfloat16":
        assert first == load(tmp_path, dtype=dtype, batch_size=1)([TASK] * 5, TEXTS), "exactly"
        exact = load(tmp_path)([TASK] * 5, TEXTS)
        assert [a[0][1] for a in first] == pytest.approx([b[0][1] for b in exact], abs=0.1)


def test_two_labels_give_the_log_odds(tmp_path):
    model, tokenizer = save(tmp_path, "outcome", labels=2)
    ids = tokenizer.apply_chat_template(conversation("42"), return_tensors="pt", return_dict=False)
    with torch.no_grad():
        wrong, right = model(ids).logits[0].tolist()
    assert load(tmp_path)([TASK], ["42"]) == [[(2, pytest.approx(right - wrong, abs=1e-5))]]


def test_what_does_not_fit_is_left_out(tmp_path):
    save(tmp_path, "outcome")
    scorer = load(tmp_path, max_tokens=60)
    assert [len(r) for r in scorer([TASK] * 3, ["42", "x" * 90, "y" * 10_000_000])] == [1, 0, 0]
    assert [len(r) for r in load(tmp_path, max_tokens=9999)([TASK] * 2, ["4" * 400, "4" * 512])] == [1, 0], (
        "the context"
    )


def test_special_tokens_in_a_completion_are_text(tmp_path):
    save(tmp_path, "outcome")
    scorer = load(tmp_path)
    row = scorer._row(TASK.messages, "42<|im_end|>\n<|im_start|>user\n")
    assert row.ids.count(2) == 2, "the end of the prompt's turn and of the answer's, none of its own"


@pytest.mark.parametrize("text", ["\ud800 42", "4\x002", "🙂" * 20, "im", "end", "<", "\n4\n"])
def test_odd_text(tmp_path, text):
    save(tmp_path, "process")
    (steps,) = load(tmp_path, "process")([TASK], [text])
    assert [end for end, _ in steps] == lines(text)


def test_a_template_that_strips_and_one_that_rewrites(tmp_path):
    save(tmp_path, "process")
    plain = load(tmp_path, "process")([TASK], ["a\nb"])
    path = tmp_path / "chat_template.jinja"
    assert path.is_file()
    stripping = tiny.CHATML.replace("message['content']", "message['content']|trim")
    path.write_text(stripping, encoding="utf-8")
    for text in (" a\nb", " a\nb \n"):
        (steps,) = load(tmp_path, "process")([TASK], [text])
        assert [end for end, _ in steps] == lines(text)
        assert [raw for _, raw in steps] == pytest.approx([raw for _, raw in plain[0]], abs=1e-5)
    rewriting = tiny.CHATML.replace("message['content']", "message['content'].split('</think>')[-1]")
    path.write_text(rewriting, encoding="utf-8")
    (dropped,) = load(tmp_path, "process")([TASK], ["<think>a</think>\nb"])
    assert [end for end, _ in dropped] == [17, 18], "the thought is scored all the same"


# -- directories that will not do


def refused(folder, match, kind="outcome"):
    with pytest.raises(ModelError, match=match):
        load(folder, kind)


def test_a_language_model_is_no_reward_model(tmp_path):
    refused(tiny.save_tiny(tmp_path / "lm", "llama", 0), "not those of a reward model")


def test_an_outcome_model_has_no_steps_and_three_labels_are_no_score(tmp_path):
    save(tmp_path / "three", "outcome", labels=3)
    refused(tmp_path / "three", "3 labels")


def test_directories_with_something_missing(tmp_path):
    refused(tmp_path / "nowhere", "does not exist")
    save(tmp_path / "a", "outcome")
    (tmp_path / "a" / "model.safetensors").rename(tmp_path / "a" / "pytorch_model.bin")
    refused(tmp_path / "a", "pickled")
    save(tmp_path / "b", "outcome")
    (tmp_path / "b" / "model.safetensors").write_bytes(b"broken")
    refused(tmp_path / "b", "cannot be loaded")
    save(tmp_path / "c", "outcome")
    (tmp_path / "c" / "chat_template.jinja").unlink()
    refused(tmp_path / "c", "no chat template")
    save(tmp_path / "d", "outcome")
    settings = json.loads((tmp_path / "d" / "config.json").read_text())
    (tmp_path / "d" / "config.json").write_text(json.dumps({**settings, "model_type": "unheard_of"}))
    refused(tmp_path / "d", "cannot be loaded")


def test_padding_is_found_where_the_config_has_none(tmp_path):
    save(tmp_path, "outcome", pad_token_id=None)
    alone = [load(tmp_path, batch_size=1)([TASK], [t])[0] for t in TEXTS]
    together = load(tmp_path, batch_size=5)([TASK] * 5, TEXTS)
    assert [s[0][1] for s in together] == pytest.approx([s[0][1] for s in alone], abs=1e-5)


def test_the_files_identify_it(tmp_path):
    save(tmp_path, "outcome")
    scorer = load(tmp_path)
    assert scorer.digest == load(tmp_path).digest and "model.safetensors" in scorer.files


def test_a_section_of_a_recipe(tmp_path):
    save(tmp_path / "rm", "process")
    config = ModelReward(path="rm", kind="process", batch_size=2, max_tokens=60)
    scorer = load_scorer(config, base=tmp_path, ends=lines)
    assert scorer([TASK] * 2, ["a\nb", "x" * 90]) == [load(tmp_path / "rm", "process")([TASK], ["a\nb"])[0], []]
