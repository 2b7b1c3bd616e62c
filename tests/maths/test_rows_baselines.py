from row_parts import parts

# estimator, departures, ratio, surrogate, marks, aggregation, KL, numbers, flags
CLIP = {"clip_low": 0.2, "clip_high": 0.2}
PPO = ("token_ratio", "clip", "mark_clip")
PLAIN = ("token_ratio", "policy_gradient", "mark_nothing", "token_mean", "k3", {}, "")


def test_what_every_row_is_made_of():
    clip = {**CLIP, "dual_clip": None}
    assert parts("rows_baselines") == {
        "ppo": ("gae", {}, *PPO, "token_mean", "k3", clip, ""),
        "rloo": ("rloo", {}, *PLAIN[:3], "seq_mean_token_sum", *PLAIN[4:]),
        "rloo_clip": (
            *("rloo", {}, "product_ratio", "clip", "mark_clip", "seq_mean_token_mean", "k3"),
            *(CLIP, "sequence_level"),
        ),
        "reinforce": ("reinforce", {}, *PLAIN),
        "reinforce_pp": ("reinforce_pp", {}, *PPO, "seq_mean_token_mean", "k3", clip, ""),
        "reinforce_pp_baseline": ("reinforce_pp_baseline", {}, *PPO, "token_mean", "k3", clip, ""),
        "gpg": ("gpg", {}, *PLAIN),
        "opo": ("opo", {}, *PLAIN),
        "maxrl": ("maxrl", {}, *PLAIN),
        "pkpo": ("pkpo", {}, *PLAIN),
        "passk_max": ("best", {}, *PLAIN),
        "kimi": (
            *("group", {"scale": "none"}, "token_ratio", "squared_log_ratio", "mark_nothing", "seq_mean_token_mean"),
            *("k3", {"tau": 0.01}, "sequence_level"),
        ),
    }
