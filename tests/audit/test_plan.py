from sibling.audit.kinds import Probe, Variant
from sibling.audit.plan import plan, says_nothing


def probe(make, expect="flip", kinds=(), group="g", name="p"):
    return Probe(name, group, expect, frozenset(kinds), make)


def test_every_probe_gets_the_same_share_over_all_seeds(make_seed):
    seeds = [make_seed(str(n)) for n in range(10)]
    many = probe(lambda s: [Variant(f"{s.answer}-{k}") for k in range(30)])
    few = probe(lambda s: [Variant(f"{s.answer}!")], name="q")
    shares = plan([many, few], seeds, [True] * 10, calls=60)
    assert [len(s.items) for s in shares] == [50, 10]
    assert [sum(i.seed == n for i in shares[0].items) for n in range(10)] == [5] * 10
    assert [s.applicable for s in shares] == [10, 10]


def test_seeds_begin_at_different_variants(make_seed):
    seeds = [make_seed(str(n)) for n in range(4)]
    (share,) = plan([probe(lambda s: [Variant(c) for c in "abcd"])], seeds, [True] * 4, calls=4)
    assert [i.variant.text for i in share.items] == ["a", "b", "c", "d"]


def test_what_changes_nothing_is_not_applicable(make_seed):
    seeds = [make_seed("7"), make_seed("8")]
    (share,) = plan([probe(lambda s: [Variant("\\boxed{7}")], "keep")], seeds, [True, True], calls=10)
    assert (share.seeds, share.applicable, len(share.items)) == (2, 1, 1)
    assert share.items[0].seed == 1


def test_refused_seeds_are_no_evidence_of_a_kept_verdict(make_seed):
    seeds = [make_seed("7"), make_seed("8")]
    keep, flip = probe(lambda s: [Variant("x")], "keep"), probe(lambda s: [Variant("x")], "flip", name="q")
    shares = plan([keep, flip], seeds, [True, False], calls=10)
    assert [[i.seed for i in s.items] for s in shares] == [[0], [0, 1]]


def test_other_kinds_do_not_count(make_seed):
    (share,) = plan([probe(lambda s: [Variant("x")], kinds=("sql",))], [make_seed()], [True], calls=10)
    assert (share.seeds, share.applicable) == (0, 0)


def test_long_texts_are_made_for_few_seeds(make_seed):
    seeds = [make_seed(str(n)) for n in range(9)]
    (share,) = plan([probe(lambda s: [Variant("x" * 30_000), Variant("y")])], seeds, [True] * 9, calls=99)
    assert sum(len(i.variant.text) > 20_000 for i in share.items) == 3
    assert sum(i.variant.text == "y" for i in share.items) == 9


def test_a_probe_that_fails_costs_only_its_seed(make_seed):
    def fragile(seed):
        return [Variant(str(1 / int(seed.answer)))]

    (share,) = plan([probe(fragile)], [make_seed("0"), make_seed("2")], [True, True], calls=9)
    assert [i.seed for i in share.items] == [1]
    assert "ZeroDivisionError" in share.problem


def test_without_a_reference_only_what_says_nothing_must_be_refused(make_seed):
    low = probe(lambda s: [Variant("<think></think> ."), Variant("an answer")], "low")
    flip = probe(lambda s: [Variant("\\boxed{8}")], name="q")
    keep = probe(lambda s: [Variant("7 ")], "keep", group="presentation", name="r")
    other = probe(lambda s: [Variant("14/2")], "keep", group="equivalence", name="s")
    shares = plan([low, flip, keep, other], [make_seed()], [True], calls=99, uses_reference=False)
    assert [[i.variant.text for i in s.items] for s in shares] == [["<think></think> ."], [], ["7 "], []]


def test_says_nothing():
    assert says_nothing("") and says_nothing("<answer>\\boxed{}</answer> ...")
    assert not says_nothing("<answer>a</answer>") and not says_nothing("7")
