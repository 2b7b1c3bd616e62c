from row_parts import parts

# estimator, departures, ratio, surrogate, marks, aggregation, KL, numbers, flags
GROUP = ("group", {})
SEQUENCE = ("clip", "mark_clip")
GSPO = {"clip_low": 3e-4, "clip_high": 4e-4}
SEQ, TOKENS = ("seq_mean_token_mean", "k3"), ("token_mean", "k3")
DELTAS = {"delta_low": 0.15, "delta_high": 0.15, "ratio_cap": 20.0}
VESPO = {"k_positive": 2.0, "lambda_positive": 3.0, "k_negative": 3.0, "lambda_negative": 2.0}
COV = {"clip_low": 0.2, "clip_high": 0.2, "share": 2e-4, "score_low": 1.0, "score_high": 5.0}
KL = {"delta_low": 0.05, "delta_high": 0.05, "ratio_cap": 20.0, "tail_eps": 1e-8}


def test_what_every_row_is_made_of():
    token = (*GROUP, "token_ratio")
    assert parts("rows_ratios") == {
        "gspo": (*GROUP, "geometric_ratio", *SEQUENCE, *SEQ, GSPO, "sequence_level"),
        "gspo_token": (*GROUP, "geometric_token_ratio", *SEQUENCE, *SEQ, GSPO, "sequence_level"),
        "luspo": (
            *(*GROUP, "geometric_ratio", *SEQUENCE, "seq_mean_token_sum", "k3"),
            *({"clip_low": 2e-3, "clip_high": 2.5e-3}, "sequence_level"),
        ),
        "gmpo": (
            *token,
            "geometric_mean",
            "mark_log_clip",
            *SEQ,
            {"clip_low": 0.4, "clip_high": 0.4},
            "sequence_level",
        ),
        "cispo": (*token, "bounded_weight", "mark_bounds", *TOKENS, {"ratio_min": None, "ratio_max": 5.0}, ""),
        "sapo": (*token, "soft_gate", "mark_nothing", *SEQ, {"tau_positive": 1.0, "tau_negative": 1.05}, ""),
        "vespo": (*token, "smooth_sequence_weight", "mark_nothing", *TOKENS, VESPO, "absorbs_sampler_weight"),
        "dppo_tv": (*token, "within_total_variation", "mark_dropped_tv", *TOKENS, DELTAS, ""),
        "dppo_kl": (*token, "within_binary_kl", "mark_dropped_kl", *TOKENS, KL, ""),
        "clip_cov": (*token, "clip_without_selected", "mark_clip_cov", *TOKENS, COV, "select within"),
        "kl_cov": (
            *(*token, "penalised_covariance", "mark_nothing", *TOKENS),
            *({"share": 2e-3, "coefficient": 1.0}, "select highest"),
        ),
    }
