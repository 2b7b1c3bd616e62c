"""Rules of combination, first half: advantage estimators, rewards, aggregations and sampling."""

from __future__ import annotations

from sibling.config import facts as f
from sibling.config.facts import penalised, penalised_in, scaled_by, several_updates
from sibling.config.rule import Rule, estimator, every, has, refuse, row, some, warn

ADVANTAGES: tuple[Rule, ...] = (
    refuse(
        "group baseline with one completion",
        every(estimator(*f.NEEDS_SIBLINGS), lambda r: r.sampling.group_size < 2),
        "the advantage compares a completion with its siblings, and with sampling.group_size=1 it has none",
        "set sampling.group_size to 2 or more (8 is common), or take an estimator without a group: reinforce, gae",
    ),
    refuse(
        "token advantages with a sequence term",
        every(row(*f.ONE_TERM_A_SEQUENCE), estimator(*f.TOKEN_ADVANTAGES)),
        "the row has one ratio or weight a completion, made for one advantage a completion",
        "take objective.type=gspo_token, which has a sequence's ratio and token advantages, or a row of token ratios",
    ),
    refuse(
        "std in a row without std",
        every(row(*f.WITHOUT_STD), scaled_by("group", "batch")),
        "the row is defined by dropping the standard deviation; with it, it is neither that algorithm nor GRPO",
        "remove objective.advantage.scale, or take objective.type=grpo (in the group) or lite_ppo (in the batch)",
    ),
    refuse(
        "k larger than the group",
        every(estimator(*f.PASS_AT_K), lambda r: r.objective.advantage.k > r.sampling.group_size),
        "pass@k is estimated from subsets of k siblings, and the group has fewer than k",
        "lower objective.advantage.k or raise sampling.group_size",
    ),
    refuse(
        "binary estimator with other rewards",
        every(estimator(*f.BINARY_REWARDS), f.surely_not_binary),
        "the estimator is derived for a reward of 0 or 1, and the total reward of this recipe can be something else",
        "keep one reward of weight 1 that says right or wrong, and give the others weight 0",
    ),
    refuse(
        "Beta normalisation with rewards outside 0 to 1",
        every(estimator("beta"), f.surely_outside_one),
        "a Beta density lives on [0, 1], and the total reward of this recipe can leave it",
        "use rewards between 0 and 1 with positive weights that add up to at most 1",
    ),
    warn(
        "bounded estimator with rewards of unknown range",
        every(estimator(*f.BOUNDED_REWARDS), f.unknown_range),
        "the estimator needs rewards of 0 or 1 (beta: between them), and what this reward gives shows only in the run",
        "make sure of it: anything else stops the run or bends the gradient",
    ),
    warn(
        "pass@k with k of 1",
        every(estimator(*f.PASS_AT_K), lambda r: r.objective.advantage.k == 1),
        "pass@1 is the mean reward, which every estimator optimises",
        "set objective.advantage.k to 2 or more",
    ),
    refuse(
        "process supervision without step scores",
        every(estimator("process"), lambda r: not f.scores_steps(r)),
        "no reward of this recipe scores steps, so every completion would be one step: outcome supervision",
        "add the reward step_match or a callable that returns steps in its Verdict, or take the estimator group",
    ),
    warn(
        "GDPO with one reward",
        every(estimator("gdpo"), lambda r: sum(1 for _ in f.weighted(r)) < 2),
        "each reward is standardised on its own, so with one it is the group's z-score, standardised again",
        "add a second reward, or take the estimator group",
    ),
    warn(
        "group std of two completions",
        every(scaled_by("group"), lambda r: r.sampling.group_size == 2),
        "two rewards over their own std are always plus and minus the same number: how far apart they were is lost",
        "set sampling.group_size to 4 or more, or objective.advantage.scale to batch or none",
    ),
    warn(
        "row with another estimator",
        lambda r: f.NAMED_AFTER.get(r.objective.type) not in (None, r.objective.advantage.type),
        "the row is named after its estimator; with another one it is no longer the method of that name",
        "remove objective.advantage.type, or report the run under the estimator that it uses",
    ),
    warn(
        "scale of another row",
        every(
            row("kimi", "lite_ppo"),
            estimator("group"),
            lambda r: r.objective.advantage.scale != {"kimi": "none", "lite_ppo": "batch"}[r.objective.type],
        ),
        "Kimi's loss follows from R less the group's mean, and Lite PPO is the std of the batch's rewards",
        "remove objective.advantage.scale",
    ),
    refuse(
        "critic warm-up without training",
        every(estimator("gae"), lambda r: r.objective.advantage.critic.warmup_steps >= r.steps),
        "the policy is not trained in the critic's warm-up steps, and the run has no more steps than those",
        "lower objective.advantage.critic.warmup_steps or raise steps",
    ),
)

AGGREGATIONS: tuple[Rule, ...] = (
    refuse(
        "Dr. GRPO divided by length",
        every(row("dr_grpo"), lambda r: r.objective.aggregation not in f.LENGTH_FREE),
        "Dr. GRPO drops the std and the division by tokens; dropping only one of the two is neither algorithm",
        "take token_sum_norm, seq_mean_token_sum or constant, or another row with objective.advantage.scale=none",
    ),
    refuse(
        "constant without use",
        every(has("constant"), lambda r: r.objective.aggregation not in f.WITH_CONSTANT),
        "objective.constant divides in the aggregations token_sum_norm and constant only",
        "remove objective.constant, or set objective.aggregation=token_sum_norm",
    ),
    warn(
        "sequence term summed over tokens",
        every(row(*(f.SEQUENCE_TERM - {"luspo"})), lambda r: r.objective.aggregation != "seq_mean_token_mean"),
        "the term of a completion is repeated at its tokens, so in this aggregation a completion counts by its length",
        "take seq_mean_token_mean; a sum over tokens of GSPO's term is objective.type=luspo",
    ),
    warn(
        "LUSPO without length",
        every(row("luspo"), lambda r: r.objective.aggregation == "seq_mean_token_mean"),
        "LUSPO is GSPO's term times the completion's length; the mean over tokens takes that length out again",
        "take seq_mean_token_sum, or objective.type=gspo",
    ),
    warn(
        "count of masked sequences without use",
        lambda r: not r.objective.count_masked_sequences and r.objective.aggregation not in f.WITH_COUNT,
        "the number of completions divides in seq_mean_token_mean, seq_mean_token_sum and token_sum_norm only",
        "remove objective.count_masked_sequences, or take one of those aggregations",
    ),
    warn(
        "mean of micro-batches",
        lambda r: r.objective.aggregation == "micro_token_mean",
        "tokens are averaged within a micro-batch, so the objective depends on learner.micro_batch_tokens",
        "take token_mean, unless a run of another library is to be repeated",
    ),
)

SAMPLING: tuple[Rule, ...] = (
    refuse(
        "truncated sampling with KL",
        every(f.truncated_sampling, penalised),
        "top_p, top_k and min_p are applied in the learner's log-probs too, so policy and reference keep different"
        " tokens: the KL between them is infinite, and an estimate from sampled tokens does not show it",
        "set sampling.top_p=1, top_k=0 and min_p=0, or objective.kl.beta=0",
    ),
    warn(
        "truncated sampling with several updates",
        every(f.truncated_sampling, several_updates),
        "the set of tokens that top_p, top_k or min_p keep changes with every update, and the ratios jump with it",
        "set sampling.top_p=1, top_k=0 and min_p=0, or learner.passes=1 and learner.minibatches=1",
    ),
    warn(
        "truncated sampling with experts",
        every(f.truncated_sampling, row("luffy")),
        "an expert's token is often one that top_p, top_k or min_p cut, so its probability is of no policy",
        "set sampling.top_p=1, top_k=0 and min_p=0",
    ),
    warn(
        "truncated sampling with entropy",
        every(f.truncated_sampling, some(has("entropy_mask"), has("entropy_bonus"))),
        "the entropy is that of the truncated distribution, which is 0 wherever one token is left",
        "set sampling.top_p=1, top_k=0 and min_p=0",
    ),
    warn(
        "several updates without a ratio",
        every(row(*f.WITHOUT_RATIO), several_updates),
        "the term is -A log pi, so from the second update on a rollout nothing corrects for the policy's move",
        "set learner.passes=1 and learner.minibatches=1, or take a row with a ratio",
    ),
    warn(
        "OPO baseline with several updates",
        every(estimator("opo"), lambda r: r.objective.type not in f.WITHOUT_RATIO, several_updates),
        "the baseline is optimal for exactly on-policy updates only",
        "set learner.passes=1 and learner.minibatches=1",
    ),
    refuse(
        "dynamic sampling with one completion",
        every(lambda r: r.filters.dynamic_sampling.enabled, lambda r: r.sampling.group_size < 2),
        "the rewards of a group of one are always all equal, so every group would be replaced",
        "set filters.dynamic_sampling.enabled=false",
    ),
    warn(
        "dynamic sampling of groups that teach",
        every(
            lambda r: r.filters.dynamic_sampling.enabled,
            some(estimator(*f.SIGNAL_FROM_EQUAL_REWARDS), penalised_in("reward")),
        ),
        "groups with equal rewards are replaced, although here they have advantages other than 0",
        "set filters.dynamic_sampling.enabled=false",
    ),
    warn(
        "overlong punishment of masked completions",
        every(lambda r: r.filters.mask_truncated, lambda r: any(w.type == "overlong" for w in f.weighted(r))),
        "truncated completions leave the loss, so their punishment only shifts the baseline of their siblings",
        "keep one of the two: the reward overlong, or filters.mask_truncated",
    ),
    refuse(
        "no reward with weight",
        lambda r: not any(f.weighted(r)),
        "all weights are 0, so every total reward is 0 and nothing is learnt",
        "give a reward a weight",
    ),
    refuse(
        "LUFFY with one completion",
        every(row("luffy"), lambda r: r.sampling.group_size < 2),
        "the expert's trace joins a group of the policy's own completions, and one is no group",
        "set sampling.group_size to 2 or more (8 is common)",
    ),
    refuse(
        "LUFFY without experts",
        every(row("luffy"), lambda r: r.task.type not in f.TASKS_WITH_COLUMNS),
        "the expert's completion is read from a column of the task, and this task has no columns",
        "take a task from a file (jsonl, parquet, dataset) or of your own (callable) with objective.expert_column",
    ),
)
