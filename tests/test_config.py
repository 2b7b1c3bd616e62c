"""Every knob: what is accepted, what is refused and in which words, and the list of all of them."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from sibling.canonical import digest
from sibling.config import (
    DapoObjective,
    DrGrpoObjective,
    EmbeddedModel,
    EnsembleReward,
    FullFinetune,
    GrpoObjective,
    LoraFinetune,
    Recipe,
    RegexReward,
    TinyModel,
    load_recipe,
    parse_recipe,
)
from sibling.config.reading import _DEFAULT_TYPES
from sibling.errors import RequestError

SHORTEST: dict[str, Any] = {
    "name": "shortest",
    "steps": 3,
    "task": {"type": "largest_number"},
    "rewards": [{"type": "final_number"}],
}


def recipe(**changes: Any) -> Recipe:
    return parse_recipe(copy.deepcopy(SHORTEST) | changes)


def refusal(**changes: Any) -> str:
    with pytest.raises(RequestError) as caught:
        recipe(**changes)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "shortest.yaml"
    file.write_text(yaml.safe_dump(SHORTEST), encoding="utf-8")
    return file


# -------------------------------------------------------------------------------- defaults and digests


def test_every_default_is_expanded() -> None:
    resolved = recipe().resolved()
    assert resolved["sampling"]["group_size"] == 8
    assert resolved["objective"]["type"] == "dapo"
    assert resolved["learner"]["optimizer"]["learning_rate"] == 2e-5
    assert resolved["rewards"][0]["weight"] == 1.0
    assert resolved["task"]["count"] == 4


def test_the_resolved_recipe_is_json_and_reads_back_as_itself() -> None:
    first = recipe(learner={"finetune": {"type": "lora"}}, sampling={"stop": ["\n"]})
    again = Recipe.model_validate(json.loads(json.dumps(first.resolved())))
    assert again == first
    assert again.digest() == first.digest()


def test_the_digest_covers_everything_but_the_run_directory() -> None:
    assert recipe().digest() == recipe(run_dir="elsewhere").digest()
    assert recipe().digest() != recipe(seed=1).digest()
    assert recipe().digest() != recipe(steps=4).digest()
    assert recipe().digest() == digest({k: v for k, v in recipe().resolved().items() if k != "run_dir"})


def test_a_default_written_out_is_the_same_recipe() -> None:
    assert recipe(sampling={"group_size": 8}).digest() == recipe().digest()


def test_the_run_directory_is_runs_name_unless_given() -> None:
    assert recipe().directory() == Path("runs/shortest")
    assert recipe(run_dir="a/b").directory() == Path("a/b")


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        recipe().steps = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "value", "kind"),
    [
        ("model", {"type": "embedded"}, EmbeddedModel),
        ("model", {"type": "tiny"}, TinyModel),
        ("objective", {"type": "grpo"}, GrpoObjective),
        ("objective", {"type": "dr_grpo"}, DrGrpoObjective),
        ("objective", {"type": "dapo"}, DapoObjective),
    ],
)
def test_unions_are_told_apart_by_type(section: str, value: dict[str, Any], kind: type) -> None:
    assert isinstance(getattr(recipe(**{section: value}), section), kind)


def test_nested_unions_are_told_apart_by_type() -> None:
    assert isinstance(recipe().learner.finetune, FullFinetune)
    assert isinstance(recipe(learner={"finetune": {"type": "lora"}}).learner.finetune, LoraFinetune)
    assert isinstance(recipe(rewards=[{"type": "regex", "pattern": "a"}]).rewards[0], RegexReward)


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "key", "near"),
    [
        ({"stepps": 3}, "stepps", "steps"),
        ({"sampling": {"grup_size": 3}}, "sampling.grup_size", "group_size"),
        ({"objective": {"type": "dapo", "clip_hi": 0.3}}, "objective.clip_hi", "clip_high"),
        ({"objective": {"type": "dapo", "kl": {"bet": 1}}}, "objective.kl.bet", "beta"),
        ({"objective": {"type": "dapo", "advantage": {"scal": 1}}}, "objective.advantage.scal", "scale"),
        (
            {"objective": {"type": "ppo", "advantage": {"critic": {"clip": 1}}}},
            "objective.advantage.critic.clip",
            "value_clip",
        ),
        ({"learner": {"optimizer": {"learning_rat": 1}}}, "learner.optimizer.learning_rat", "learning_rate"),
        ({"rewards": [{"type": "final_number", "wieght": 2}]}, "rewards.0.wieght", "weight"),
        ({"filters": {"dynamic_sampling": {"round": 2}}}, "filters.dynamic_sampling.round", "max_rounds"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(changes: dict[str, Any], key: str, near: str) -> None:
    text = refusal(**changes)
    assert f"unknown key '{key}'" in text
    assert f"did you mean '{near}'?" in text


def test_an_unknown_key_like_none_lists_the_known_ones() -> None:
    text = refusal(checkpoints={"zzz": 1})
    assert "known keys are every, keep_best, keep_last" in text


def test_a_key_of_another_variant_is_unknown() -> None:
    assert "unknown key 'objective.dual_clip'" in refusal(objective={"type": "gspo", "dual_clip": 3})
    lam = {"type": "dapo", "advantage": {"type": "group", "lam": 0.9}}
    assert "unknown key 'objective.advantage.lam'" in refusal(objective=lam)


def test_an_unknown_type_is_refused_with_the_nearest_name() -> None:
    text = refusal(objective={"type": "dr_grppo"})
    assert "objective.type is 'dr_grppo', wanted one of grpo, grpo_process, dr_grpo, dapo" in text
    assert "did you mean 'dr_grpo'?" in text


def test_a_missing_type_lists_the_types() -> None:
    text = refusal(objective={"clip_low": 0.1})
    assert "objective" in text and "type" in text
    for name in ("grpo", "dr_grpo", "dapo"):
        assert name in text


def test_a_missing_key_is_named() -> None:
    incomplete = {k: v for k, v in SHORTEST.items() if k != "steps"}
    with pytest.raises(RequestError, match="'steps' is missing and has no default"):
        parse_recipe(incomplete)
    assert "'task.path' is missing" in refusal(task={"type": "jsonl"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": "many"}, "'steps' is 'many': input should be a valid integer"),
        ({"steps": 2.5}, "'steps' is 2.5: input should be a valid integer"),
        ({"steps": True}, "'steps' is true"),
        ({"sampling": {"top_k": False}}, "'top_k' is false"),
        ({"steps": 0}, "'steps' is 0: input should be greater than or equal to 1"),
        ({"sampling": {"temperature": 0}}, "'sampling.temperature' is 0: input should be greater than 0"),
        ({"sampling": {"top_p": 1.5}}, "'sampling.top_p' is 1.5: input should be less than or equal to 1"),
        ({"sampling": 8}, "'sampling' is 8"),
        ({"rewards": []}, "'rewards' is []"),
        ({"task": "largest_number"}, "'task' is 'largest_number'"),
        ({"name": "a/b"}, "'name' is 'a/b'"),
        ({"name": "../up"}, "'name' is '../up'"),
        ({"seed": -1}, "'seed' is -1"),
        ({"seed": 2**53}, "'seed' is 9007199254740992"),
        ({"learner": {"optimizer": {"learning_rate": float("nan")}}}, "finite"),
        ({"model": {"type": "tiny", "architecture": "lama"}}, "'llama', 'qwen2', 'qwen3', 'gemma' or 'mistral'"),
        ({"trackers": {"use": ["wandbb"]}}, "'trackers.use.0' is 'wandbb'"),
    ],
)
def test_a_wrong_value_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(**changes)


def test_a_refused_element_is_one_fault_and_not_two() -> None:
    text = refusal(rewards=[{"type": "overlong"}])
    assert text.endswith("is not a valid recipe: 'rewards.0.cache' is missing and has no default.")


def test_more_minibatches_than_groups_are_refused() -> None:
    assert "learner.minibatches is 9" in refusal(learner={"minibatches": 9})
    assert recipe(learner={"minibatches": 8}).learner.minibatches == 8


def test_two_rewards_of_one_name_are_refused() -> None:
    twice = [{"type": "final_number"}, {"type": "final_number"}]
    assert "two rewards are called 'final_number'" in refusal(rewards=twice)
    named = recipe(rewards=[twice[0], {"type": "final_number", "name": "close", "tolerance": 1}])
    assert [r.name for r in named.rewards] == [None, "close"]


# -------------------------------------------------------------------------------- files and overrides


def test_a_recipe_file_is_named_after_itself(path: Path) -> None:
    data = {k: v for k, v in SHORTEST.items() if k != "name"}
    (path.parent / "my-run.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert load_recipe(path.parent / "my-run.yaml").name == "my-run"
    assert load_recipe(path).name == "shortest"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none\.yaml does not exist"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [a", "not valid YAML"),
        ("- name\n- steps\n", "not a mapping. Seen: list"),
        ("", "not a mapping. Seen: NoneType"),
        ("seed: 1\nsteps: 2\nseed: 3\n", "'seed' is given twice"),
        ("name: a\nsampling: {top_p: 1, top_p: 0.5}\n", "'top_p' is given twice"),
        ("name: !!python/object:os.system x\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_not_a_mapping_is_refused(text: str, words: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match=words):
        load_recipe(path)


def test_a_file_that_is_not_utf_8_is_refused(path: Path) -> None:
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(RequestError, match="not valid YAML"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("override", "knob", "value"),
    [
        ("seed=3", lambda r: r.seed, 3),
        ("sampling.group_size=4", lambda r: r.sampling.group_size, 4),
        ("learner.optimizer.learning_rate=2e-5", lambda r: r.learner.optimizer.learning_rate, 2e-5),
        ("learner.optimizer.learning_rate=1.5e-6", lambda r: r.learner.optimizer.learning_rate, 1.5e-6),
        ("learner.optimizer.betas=[0.8,0.9]", lambda r: r.learner.optimizer.betas, (0.8, 0.9)),
        ("name='1e5'", lambda r: r.name, "1e5"),
        ("rewards.0.weight=2", lambda r: r.rewards[0].weight, 2.0),
        ("objective.type=grpo", lambda r: r.objective.type, "grpo"),
        ("model.type=tiny", lambda r: r.model.type, "tiny"),
        ("filters.mask_truncated=true", lambda r: r.filters.mask_truncated, True),
        ("objective.advantage.scale=none", lambda r: r.objective.advantage.scale, "none"),
        ("objective.kl.reference.type=ema", lambda r: r.objective.kl.reference.type, "ema"),
        ("evaluation.every=null", lambda r: r.evaluation.every, None),
        ("evaluation.every=", lambda r: r.evaluation.every, None),
        ("run_dir=a/b=c", lambda r: r.run_dir, "a/b=c"),
        ("sampling.stop=['END','.']", lambda r: r.sampling.stop, ("END", ".")),
    ],
)
def test_an_override_is_read_as_yaml(override: str, knob: Any, value: Any, path: Path) -> None:
    seen = knob(load_recipe(path, [override, "objective.kl.beta=0.5"]))
    assert seen == value
    assert type(seen) is type(value)


def test_an_exponent_without_a_point_is_a_number_in_a_file_too(path: Path) -> None:
    task = {"type": "reasoning_gym", "family": "leg_counting", "options": {"share": 2}}
    text = yaml.safe_dump(SHORTEST | {"task": task}).replace("share: 2", "share: 2e-3")
    path.write_text(text, encoding="utf-8")
    assert load_recipe(path).resolved()["task"]["options"] == {"share": 0.002}


def test_later_overrides_win_and_the_file_is_not_changed(path: Path) -> None:
    before = path.read_bytes()
    assert load_recipe(path, ["seed=3", "seed=4"]).seed == 4
    assert path.read_bytes() == before


def test_an_override_that_changes_a_type_starts_that_section_afresh(path: Path) -> None:
    data = SHORTEST | {"objective": {"type": "dapo", "aggregation": "group_token_mean"}}
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    changed = load_recipe(path, ["objective.type=dr_grpo", "objective.constant=32"])
    assert isinstance(changed.objective, DrGrpoObjective)
    assert changed.objective.constant == 32
    same = load_recipe(path, ["objective.type=dapo"])
    assert isinstance(same.objective, DapoObjective)
    assert same.objective.aggregation == "group_token_mean"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed", "must be key=value"),
        ("=3", "must be key=value"),
        ("seed=[", "is not valid YAML"),
        ("sede=3", "did you mean 'seed'?"),
        ("sampling.grup_size=3", "did you mean 'group_size'?"),
        ("name.first=a", "goes through 'name', which is a value"),
        ("rewards.1.weight=2", "names no element of its list"),
        ("rewards.first.weight=2", "names no element of its list"),
        ("rewards.7=2", "names no element of its list"),
    ],
)
def test_a_wrong_override_is_refused_in_words(override: str, words: str, path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        load_recipe(path, [override])
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


# ---------------------------------------------------------------------------------------- the knobs


def sections(annotation: Any) -> list[Any]:
    """The config sections named in an annotation, unions and tuples opened."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [s for inner in getattr(annotation, "__args__", ()) for s in sections(inner)]


def shared(options: list[Any]) -> list[str]:
    """The fields that all members of a union take alike."""
    first, *others = options
    return [
        name
        for name, field in first.model_fields.items()
        if name != "type" and all(same_kind(field, o.model_fields.get(name)) for o in others)
    ]


def same_kind(one: FieldInfo, other: FieldInfo | None) -> bool:
    return other is not None and str(one.annotation) == str(other.annotation) and one.metadata == other.metadata


def knobs(section: Any, prefix: str = "", names: tuple[str, ...] | None = None) -> list[str]:
    """Dotted names of all knobs, as `objective[dapo].clip_low`; what a whole union takes is `objective.aggregation`."""
    found: list[str] = []
    for name in section.model_fields if names is None else names:
        below = sections(section.model_fields[name].annotation)
        if section is EnsembleReward and below:  # rewards inside a reward: their knobs are those of rewards[]
            found.append(prefix + name)
            continue
        common = shared(below) if len(below) > 1 else []
        found += [] if below else [prefix + name]
        found += knobs(below[0], f"{prefix}{name}.", tuple(common)) if common else []
        for option in below:
            tag = f"[{option.model_fields['type'].default}]" if "type" in option.model_fields else ""
            own = tuple(n for n in option.model_fields if n not in common)
            found += knobs(option, f"{prefix}{name}{tag}.", own)
    return found


def test_the_list_of_all_knobs() -> None:
    """A new knob is added to tests/knobs.txt on purpose; one that nobody turns is removed."""
    expected = (Path(__file__).parent / "knobs.txt").read_text(encoding="utf-8").split()
    assert knobs(Recipe) == expected


def test_every_section_says_what_it_is() -> None:
    def walk(section: Any) -> None:
        assert section.__doc__ and section.__doc__.strip().endswith((".", "?")), section
        for field in section.model_fields.values():
            for below in sections(field.annotation):
                walk(below)

    walk(Recipe)


def test_an_empty_stop_string_is_refused() -> None:
    assert "empty string" in refusal(sampling={"stop": ["\n", ""]})


def test_the_types_that_overrides_assume_are_the_defaults(path: Path) -> None:
    assert load_recipe(path, ["objective.kl.beta=0.5"]).objective == DapoObjective.model_validate({"kl": {"beta": 0.5}})
    plain = recipe()
    assert {
        "model": plain.model.type,
        "objective": plain.objective.type,
        "finetune": plain.learner.finetune.type,
    } == _DEFAULT_TYPES


def test_a_type_is_applied_before_the_fields_of_its_section(path: Path) -> None:
    made = load_recipe(path, ["objective.kl.beta=0.5", "objective.type=grpo"])
    assert made.objective == GrpoObjective.model_validate({"kl": {"beta": 0.5}})


def test_an_outer_type_is_applied_before_an_inner_one(path: Path) -> None:
    file = SHORTEST | {"objective": {"type": "dapo"}}
    path.write_text(yaml.safe_dump(file), encoding="utf-8")
    made = load_recipe(path, ["objective.advantage.type=rloo", "objective.type=grpo"])
    assert (made.objective.type, made.objective.advantage.type) == ("grpo", "rloo")
