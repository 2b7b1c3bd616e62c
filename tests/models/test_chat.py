import numpy as np
import pytest
from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing

from sibling.errors import ModelError
from sibling.models import chat, tiny

ASK = [{"role": "user", "content": "Hi"}]
SYSTEM = [{"role": "system", "content": "Be brief."}, *ASK]


@pytest.fixture
def tokenizer():
    return tiny.build_tokenizer()


def test_render_writes_each_turn_and_the_generation_prompt(tokenizer):
    assert chat.render(tokenizer, SYSTEM) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_given_template_replaces_the_tokenizers_own(tokenizer):
    assert chat.render(tokenizer, ASK, "Q: {{ messages[0]['content'] }}\nA:") == "Q: Hi\nA:"
    assert chat.render(tokenizer, ASK).startswith("<|im_start|>")


def test_the_beginning_of_sequence_token_is_not_added_twice(tokenizer):
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    assert tokenizer("Hi")["input_ids"][0] == 1  # this tokenizer adds it by itself
    text = chat.render(tokenizer, ASK, "{{ bos_token }}{{ messages[0]['content'] }}")
    ids = chat.encode(tokenizer, text)
    assert ids.tolist().count(1) == 1
    assert ids[0] == 1
    assert ids.dtype == np.int64


def test_no_template(tokenizer):
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match=r"model\.chat_template"):
        chat.render(tokenizer, ASK)


def test_of_several_named_templates_the_default_is_used(tokenizer):
    tokenizer.chat_template = {"tool_use": "tools", "default": "plain"}
    assert chat.render(tokenizer, ASK) == "plain"
    tokenizer.chat_template = {"tool_use": "tools"}
    with pytest.raises(ModelError, match="no chat template"):
        chat.render(tokenizer, ASK)


def test_a_template_that_refuses_the_messages(tokenizer):
    gemma = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}x"
    assert chat.render(tokenizer, ASK, gemma) == "x"
    with pytest.raises(ModelError, match=r"'system', 'user'.*System role not supported.*task\.system"):
        chat.render(tokenizer, SYSTEM, gemma)


def test_a_template_with_a_syntax_error(tokenizer):
    with pytest.raises(ModelError, match=r"not valid Jinja.*line 2"):
        chat.render(tokenizer, ASK, "a\n{% for %}")


def test_todays_date_is_not_today(tokenizer):
    assert chat.render(tokenizer, ASK, "{{ strftime_now('%d %b %Y') }}") == "26 Jul 2024"
    guarded = "\n  {% if strftime_now is defined %}{{ strftime_now('%A, %Y-%m-%d') }}{% endif %}\n\n."
    # A leading line break, a block's indentation and the blank line survive as they would without a clock.
    assert chat.render(tokenizer, ASK, guarded) == "\nFriday, 2024-07-26\n."
    assert chat.render(tokenizer, ASK, guarded.replace("strftime_now('%A, %Y-%m-%d')", "'x'")) == "\nx\n."


def test_read_template(tmp_path):
    path = tmp_path / "chat.jinja"
    with pytest.raises(ModelError, match="cannot be read"):
        chat.read_template(path)
    path.write_text(" \n")
    with pytest.raises(ModelError, match="is empty"):
        chat.read_template(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ModelError, match="cannot be read"):
        chat.read_template(path)
    path.write_text("{{ messages }}")
    assert chat.read_template(path) == "{{ messages }}"


def test_end_of_turn_is_the_special_token_after_the_answer(tokenizer):
    assert chat.end_of_turn(tokenizer) == 2
    tokenizer.add_special_tokens({"extra_special_tokens": [AddedToken("<|eot_id|>", special=True)]})
    tokenizer.chat_template = "{% for m in messages %}<h>{{ m['content'] }} <|eot_id|>\n{% endfor %}"
    assert chat.end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids("<|eot_id|>") == 259


def test_end_of_turn_is_none_where_the_template_ends_no_turn(tokenizer):
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    assert chat.end_of_turn(tokenizer) is None
    tokenizer.chat_template = "{{ raise_exception('one message only') }}"
    assert chat.end_of_turn(tokenizer) is None


def test_the_golden_render_pins_text_and_ids(tokenizer):
    # Computed once with tokenizers 0.23 and transformers 5.23; a change here changes what models are asked.
    golden = "sha256:2e5eaf2d22a2484aa141bac0434de6e7303de07206b50f9191c791edbbc81c64"
    assert chat.golden_render_digest(tokenizer) == golden
    tokenizer.chat_template = tiny.CHATML + " "
    assert chat.golden_render_digest(tokenizer) != golden
    tokenizer.chat_template = tiny.CHATML
    tokenizer.add_tokens(["largest"])  # the same text, other ids
    assert chat.golden_render_digest(tokenizer) != golden


def test_digests_of_template_and_tokenizer(tokenizer):
    template, whole = chat.template_digest(tokenizer), chat.tokenizer_digest(tokenizer)
    tokenizer.chat_template += " "
    assert chat.template_digest(tokenizer) != template
    assert chat.tokenizer_digest(tokenizer) == whole
    tokenizer.add_tokens(["largest"])
    assert chat.tokenizer_digest(tokenizer) != whole
    tokenizer.chat_template = None
    with pytest.raises(ModelError):
        chat.template_digest(tokenizer)
