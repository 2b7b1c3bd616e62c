from row_parts import parts

# estimator, departures, ratio, surrogate, marks, aggregation, KL, numbers, flags
CLIP = {"clip_low": 0.2, "clip_high": 0.2, "dual_clip": None}
HIGHER = {**CLIP, "clip_high": 0.28}
PPO = ("token_ratio", "clip", "mark_clip")
NONE = {"scale": "none"}


def test_what_every_row_is_made_of():
    assert parts("rows_grpo") == {
        "grpo": ("group", {}, *PPO, "seq_mean_token_mean", "k3", CLIP, ""),
        "grpo_process": ("process", {}, *PPO, "seq_mean_token_mean", "k3", CLIP, ""),
        "dr_grpo": ("group", NONE, *PPO, "token_sum_norm", "k3", CLIP, ""),
        "dapo": ("group", {}, *PPO, "token_mean", "k3", HIGHER, ""),
        "high_entropy": ("group", {}, *PPO, "token_mean", "k3", HIGHER, ""),
        "deepseek_v3_2": ("group", NONE, *PPO, "seq_mean_token_mean", "k3_is", CLIP, ""),
        "lite_ppo": ("group", {"scale": "batch"}, *PPO, "token_mean", "k3", CLIP, ""),
        "local_mean": ("group", {}, *PPO, "micro_token_mean", "k3", CLIP, ""),
        "bnpo": ("beta", {}, *PPO, "token_mean", "k3", CLIP, ""),
        "gdpo": ("gdpo", {}, *PPO, "token_mean", "k3", CLIP, ""),
        "passk": ("passk", {}, *PPO, "token_mean", "k3", CLIP, ""),
        "luffy": (
            *("group", NONE, "token_ratio", "shaped_expert", "mark_nothing", "token_sum_norm", "k3"),
            *({"shaping": 0.1}, ""),
        ),
    }
