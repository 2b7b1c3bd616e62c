"""What is trained of a model: digests, weights put back, adapters merged and switched off."""

import copy

import pytest
import torch
from small_batches import plain_model

from sibling.config import LoraFinetune
from sibling.errors import RunError
from sibling.learner.trainable import (
    adapted_layers,
    base_weights,
    has_module,
    merge,
    put_weights,
    trained_parameters,
    weights_digest,
    with_adapters,
    without_adapters,
)


def adapted(targets="all-linear"):
    """A tiny model with adapters that do something."""
    model = with_adapters(plain_model(), LoraFinetune(rank=2, alpha=6.0, target_modules=targets), seed=0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, p in trained_parameters(model):
            p.copy_(torch.randn(p.shape, generator=random))
    return model


def own_logits(model):
    with torch.no_grad():
        return model(input_ids=torch.arange(9)[None], use_cache=False).logits


def test_merged_weights_do_what_base_and_adapters_do():
    model, plain = adapted(), plain_model()
    before = own_logits(plain)
    merge(model, into=plain)
    assert torch.allclose(own_logits(plain), own_logits(model), atol=1e-3)
    assert float((own_logits(plain) - before).abs().max()) > 0.1
    once = weights_digest(dict(plain.named_parameters()))
    merge(model, into=plain)
    assert weights_digest(dict(plain.named_parameters())) == once


def test_without_adapters_there_is_the_base():
    model = adapted()
    with without_adapters(model) as base:
        assert torch.equal(own_logits(base), own_logits(plain_model()))
    assert not torch.equal(own_logits(model), own_logits(plain_model()))


def test_base_weights_go_by_the_names_they_had():
    plain = dict(plain_model().named_parameters())
    for model in (adapted(), adapted(("v_proj",)), plain_model()):
        seen = base_weights(model)
        assert set(seen) == set(plain) and all(torch.equal(seen[n], plain[n]) for n in plain)


def test_adapted_layers_go_by_the_names_they_had():
    assert [n for n, _ in adapted_layers(adapted(("v_proj",)))] == [
        f"model.layers.{i}.self_attn.v_proj" for i in (0, 1)
    ]
    assert adapted_layers(plain_model()) == []


@pytest.mark.parametrize(
    ("target", "there"), [("v_proj", True), ("self_attn.v_proj", True), ("proj", False), ("lm_head", True)]
)
def test_a_module_goes_by_the_end_of_its_path(target, there):
    assert has_module(plain_model(), target) is there


def test_weights_are_put_back_all_or_none():
    model = torch.nn.Linear(3, 2)
    named = list(model.named_parameters())
    before = copy.deepcopy(model.state_dict())
    good = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    for wrong in ({}, {"weight": good["weight"]}, {**good, "more": good["bias"]}, {**good, "bias": torch.zeros(3)}):
        with pytest.raises(RunError, match="do not fit the thing"):
            put_weights(named, wrong, "the thing")
        assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    put_weights(named, good, "the thing")
    assert all(torch.equal(t, good[n]) for n, t in model.state_dict().items())


def test_the_digest_is_over_names_shapes_types_and_bytes():
    random = torch.Generator().manual_seed(0)
    weights = {"a": torch.randn(3, 4, generator=random), "b": torch.zeros(2), "c": torch.tensor(1.0)}
    digest = weights_digest(weights)
    assert digest == weights_digest({n: t.clone() for n, t in reversed(weights.items())})
    assert digest == weights_digest(
        {**weights, "a": weights["a"].T.contiguous().T}
    )  # the same values, laid out otherwise
    nudged = weights["a"].clone()
    nudged.view(torch.int32)[2, 3] ^= 1  # the last bit of one entry
    others = [
        {**weights, "a": nudged},
        {**weights, "a": weights["a"].reshape(4, 3)},
        {**weights, "b": torch.zeros(2, dtype=torch.int32)},
        {**weights, "b": -weights["b"]},  # minus zero
        {"x" if n == "a" else n: t for n, t in weights.items()},
        {n: t for n, t in weights.items() if n != "b"},
        {**weights, "b": weights["c"], "c": weights["b"]},
    ]
    digests = {weights_digest(o) for o in others}
    assert len(digests) == len(others) and digest not in digests
