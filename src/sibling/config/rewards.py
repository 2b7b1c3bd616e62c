"""Rewards and verifiers: what scores a completion.

Every type takes `name` and `weight`. The type decides which of the task's columns it reads; each class says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sibling.config.section import Section

SandboxLevel = Literal["limits", "filtered", "isolated", "contained"]
"""Least strength of the sandbox, weakest first; `sandbox.levels` says what each covers."""

Part = Literal["all", "answer"]
"""What a verifier looks at: the whole completion, or what follows the thought (`rewards.parts`)."""


class _Reward(Section):
    name: str | None = Field(None, description="name in tables and in the record; null: the type")
    weight: float = Field(1.0, description="weight in the total reward")
    false_accept: float = Field(0.0, ge=0, lt=1, description="known rate, taken out of the score (maths.noise)")
    false_refuse: float = Field(0.0, ge=0, lt=1, description="known rate, taken out of the score (maths.noise)")

    @model_validator(mode="after")
    def _rates(self) -> _Reward:
        if self.false_accept + self.false_refuse >= 1:
            raise ValueError(
                f"false_accept {self.false_accept} and false_refuse {self.false_refuse} add up to 1 or more: such a "
                "reward says the opposite of the truth; give rates below that, as `sibling audit` measures them"
            )
        return self


class FinalNumberReward(_Reward):
    """1 if the last number in the completion equals the reference, else 0."""

    type: Literal["final_number"] = "final_number"
    tolerance: float = Field(0.0, ge=0, description="largest absolute difference still right")


class ExactMatchReward(_Reward):
    """1 if the completion equals the reference, else 0."""

    type: Literal["exact_match"] = "exact_match"
    ignore_case: bool = False
    strip: bool = Field(True, description="ignore white space and a final full stop around the answer")


class RegexReward(_Reward):
    """1 if the pattern is found in the completion, else 0; a group named `answer` is compared with the reference."""

    type: Literal["regex"] = "regex"
    pattern: str
    full: bool = Field(False, description="the whole completion has to match")


class FormatTagsReward(_Reward):
    """1 if each tag opens and closes exactly once, in order, else 0."""

    type: Literal["format_tags"] = "format_tags"
    tags: tuple[str, ...] = Field(("think", "answer"), min_length=1)
    strict: bool = Field(True, description="nothing but white space outside the tags")
    non_empty: bool = Field(True, description="each tag holds more than white space")


class OverlongReward(_Reward):
    """Soft overlong punishment (DAPO, 2503.14476 eq. 13): 0 up to max_length - cache, linear to -1 at max_length."""

    type: Literal["overlong"] = "overlong"
    max_length: int | None = Field(None, ge=1, description="null: sampling.max_tokens")
    cache: int = Field(ge=1, description="tokens over which the punishment grows")


class GymReward(_Reward):
    """The scorer of the reasoning-gym family that made the prompt."""

    type: Literal["reasoning_gym"] = "reasoning_gym"


class StepMatchReward(_Reward):
    """Process reward: each step of the completion is compared with the same step of the reference.

    Step j scores 1 if it equals the reference's step j (white space apart), else 0; the total is the share of the
    reference's steps that are right. The score of every step is kept, for objectives with process supervision.
    """

    type: Literal["step_match"] = "step_match"
    separator: str = Field("\n", min_length=1, description="text between two steps")


class LearnedReward(_Reward):
    """A reward model that is trained during the run (iterative GRPO, DeepSeekMath 2402.03300 Algorithm 1, sec. 4.1.4).

    A copy of the policy's layers with one output; sigmoid(output) is the probability that the reward named by
    `labels` says right. It is fitted to the first step's completions before it scores them, then after every `every`
    steps to the completions of those steps, mixed with completions of earlier ones.
    """

    type: Literal["learned"] = "learned"
    labels: str = Field(description="name of the reward whose verdicts are the labels; its weight may be 0")
    every: int = Field(10, ge=1, description="steps between two fits: one outer iteration")
    replay_share: float = Field(0.1, ge=0, lt=1, description="share of a fit's examples from earlier iterations")
    learning_rate: float = Field(2e-5, gt=0, description="of its own AdamW")
    passes: int = Field(1, ge=1, description="times a fit goes over its examples")
    batch_size: int = Field(32, ge=1, description="completions an optimizer step")


class CallableReward(_Reward):
    """Your own function.

    signature `task`: `def score(task, completion) -> Verdict | float`;
    signature `trl`: `def score(prompts, completions, **columns) -> list[float | None]`, sync or async.
    """

    type: Literal["callable"] = "callable"
    target: str = Field(description="'module:name' or 'file.py:name'")
    signature: Literal["task", "trl"] = "task"
    timeout: float = Field(30.0, gt=0, description="seconds one call may take")


# ------------------------------------------------------------------------------------------- verifiers


class MathReward(_Reward):
    """1 if the final answer means the same as the reference, by exact arithmetic first and bounded algebra second."""

    type: Literal["math"] = "math"
    part: Part = "answer"
    where: Literal["boxed", "any"] = Field(
        "any", description="boxed: the answer has to stand in a box; any: a box, `####`, `Answer:` or the last value"
    )
    boxes: Literal["agree", "last"] = Field(
        "agree", description="several different boxes: agree refuses them as hedging, last takes the last one"
    )
    correction: bool = Field(True, description="a box after words of self-correction replaces the boxes before it")
    units: Literal["if_stated", "required", "ignored"] = Field(
        "if_stated", description="if_stated: a unit may be left out, one that is stated has to agree"
    )
    percent: Literal["sign_optional", "exact"] = Field(
        "sign_optional", description="sign_optional: 50 and 50% agree; exact: 50% is 0.5 and nothing else"
    )
    degrees: Literal["sign_optional", "exact"] = "sign_optional"
    relative_tolerance: float = Field(0.0, ge=0, lt=1, description="0: exact; 1e-6 takes 0.3333333 for 1/3")
    ordered: bool | None = Field(None, description="null: lists without brackets are compared as sets; true: in order")
    unevaluated: Literal["refused", "arithmetic"] = Field(
        "arithmetic", description="what may be left to compute: nothing, or plain arithmetic (3+4); never an operator"
    )
    second_opinion: Literal["none", "math_verify"] = Field(
        "none", description="math_verify: what ours cannot read is put to the package math-verify in a child process"
    )
    seconds: float = Field(1.0, gt=0, le=60, description="bound on the algebra of one answer")


class CodeReward(_Reward):
    """1 if the program passes its tests, run in a process apart from it, in a sandbox.

    Columns of the task, whichever is there: `tests` (with `entry_point`: HumanEval's `check(candidate)`; otherwise a
    file of unittest or pytest), `asserts` (a list), `io` (a list of {"stdin", "stdout"}).
    """

    type: Literal["code"] = "code"
    sandbox: SandboxLevel = Field("isolated", description="least strength; the run is refused on a machine below it")
    score: Literal["all", "share"] = Field("all", description="all: every test passes; share: the share that pass")
    seconds: float = Field(5.0, gt=0, le=600, description="wall time of one program with all of its tests")
    memory_mb: int = Field(512, ge=64, description="memory of the program")
    workers: int | None = Field(None, ge=1, description="programs run at once; null: the processors of this process")


class JsonReward(_Reward):
    """1 if the answer is one JSON value that satisfies the schema (and equals the reference, if `compare`)."""

    type: Literal["json"] = "json"
    part: Part = "answer"
    json_schema: dict[str, Any] | None = Field(None, description="JSON Schema; null: the task's column `schema`")
    compare: bool = Field(False, description="the value has to equal the task's reference, which is JSON")
    fenced: bool = Field(True, description="a single code fence around the value is allowed")


class ChoiceReward(_Reward):
    """1 if exactly one option is asserted and it is the reference. The column `options` holds the texts, if any."""

    type: Literal["choice"] = "choice"
    part: Part = "answer"
    letters: str = Field("ABCD", min_length=2, max_length=26, description="the letters that may be chosen")


class QuantityReward(_Reward):
    """1 if the number and its unit agree with the reference after conversion."""

    type: Literal["quantity"] = "quantity"
    part: Part = "answer"
    relative_tolerance: float = Field(0.0, ge=0, lt=1)
    unit_required: bool = Field(True, description="false: a bare number is read in the unit of the reference")


class InstructionsReward(_Reward):
    """Share of verifiable instructions followed; right if all are. Column `instructions`: a list of {"type", ...}."""

    type: Literal["instructions"] = "instructions"
    part: Part = "answer"
    score: Literal["all", "share"] = "all"
    least_words: int = Field(5, ge=0, description="an answer shorter than this follows nothing, whatever it leaves out")


class LanguageReward(_Reward):
    """Language consistency (DeepSeek-R1, 2501.12948 sec. 2.3.2): share of the words in the target language."""

    type: Literal["language"] = "language"
    language: str | None = Field(
        None, description="ISO 639-1 code; null: the task's column `language`, else the prompt's"
    )
    threshold: float = Field(
        0.9, ge=0, le=1, description="share from which the verdict is right; the score is the share"
    )


class SqlReward(_Reward):
    """1 if the query gives the rows of the reference query on every database of the task's column `databases`."""

    type: Literal["sql"] = "sql"
    part: Part = "answer"
    ordered: bool | None = Field(None, description="null: order counts if the reference query ends in ORDER BY")
    seconds: float = Field(2.0, gt=0, le=60)


class SolverReward(_Reward):
    """1 if a solver confirms the answer: an SMT formula equivalent to the reference, or a model of it."""

    type: Literal["solver"] = "solver"
    part: Part = "answer"
    check: Literal["equivalent", "satisfies", "sat_assignment"] = "equivalent"
    seconds: float = Field(2.0, gt=0, le=60)


class LeanReward(_Reward):
    """1 if Lean accepts the proof of the task's statement, without sorry or new axioms. Needs `lean` on the path."""

    type: Literal["lean"] = "lean"
    command: tuple[str, ...] = Field(("lean",), min_length=1, description="how Lean is started")
    seconds: float = Field(60.0, gt=0)


class JudgeReward(_Reward):
    """A language model judges over an OpenAI-compatible endpoint; two judges have to agree if `second` is given."""

    type: Literal["judge"] = "judge"
    part: Part = "answer"
    endpoint: str = Field(description="base URL, such as http://127.0.0.1:8000/v1")
    model: str = Field(description="the model's name at the endpoint")
    second: JudgeEndpoint | None = Field(
        None, description="another judge, which has to agree before an answer is accepted"
    )
    question: Literal["correct", "helpful", "harmless"] = "correct"
    api_key_variable: str | None = Field(None, description="environment variable that holds the key")
    least_characters: int = Field(1, ge=0, description="a shorter answer is refused without asking")
    most_characters: int = Field(20_000, ge=1, description="a longer answer is refused without asking")
    concurrency: int = Field(8, ge=1, le=256)
    retries: int = Field(3, ge=0, le=20)
    seconds: float = Field(60.0, gt=0, description="one request")
    cache: str | None = Field(None, description="directory of verdicts by digest; null: in memory only")
    price_in: float = Field(0.0, ge=0, description="per million tokens read")
    price_out: float = Field(0.0, ge=0, description="per million tokens written")


class JudgeEndpoint(Section):
    """Another judge: where it answers, and under which name."""

    endpoint: str
    model: str
    api_key_variable: str | None = None


class ModelReward(_Reward):
    """A transformers reward model: of the outcome, or of each step (process reward model)."""

    type: Literal["reward_model"] = "reward_model"
    path: str = Field(description="local directory with an AutoModelForSequenceClassification or TokenClassification")
    part: Part = "all"
    kind: Literal["outcome", "process"] = "outcome"
    separator: str = Field("\n", min_length=1, description="text between two steps (process)")
    reduce: Literal["min", "mean", "product", "last"] = Field("min", description="the total of the steps (process)")
    transform: Literal["none", "sigmoid"] = "sigmoid"
    low: float | None = Field(None, description="scores are raised to this: the least seen on known-good data")
    high: float | None = Field(None, description="scores are lowered to this")
    threshold: float = Field(0.5, description="score from which the verdict is right")
    batch_size: int = Field(8, ge=1)
    max_tokens: int = Field(2048, ge=8)


class EnsembleReward(_Reward):
    """A rule verifier, an appeal verifier for what it refuses, a judge for the rest.

    The rule's `right` stands; its `wrong` is put to `appeal`; what neither can decide goes to `judge`.
    """

    type: Literal["ensemble"] = "ensemble"
    rule: RuleConfig
    appeal: RuleConfig | None = None
    judge: JudgeReward | None = None
    confirm: bool = Field(False, description="an appeal that accepts has to be confirmed by the judge")

    @model_validator(mode="after")
    def _whole(self) -> EnsembleReward:
        for name in ("rule", "appeal", "judge"):
            part = getattr(self, name)
            if part is not None and (part.weight != 1.0 or part.false_accept or part.false_refuse):
                raise ValueError(f"weight and error rates are those of the ensemble; take them out of its {name}")
        return self


RuleConfig = Annotated[
    FinalNumberReward
    | ExactMatchReward
    | RegexReward
    | MathReward
    | CodeReward
    | JsonReward
    | ChoiceReward
    | QuantityReward
    | InstructionsReward
    | SqlReward
    | SolverReward
    | LeanReward
    | CallableReward,
    Field(discriminator="type"),
]

RewardConfig = Annotated[
    FinalNumberReward
    | ExactMatchReward
    | RegexReward
    | FormatTagsReward
    | OverlongReward
    | GymReward
    | StepMatchReward
    | LearnedReward
    | CallableReward
    | MathReward
    | CodeReward
    | JsonReward
    | ChoiceReward
    | QuantityReward
    | InstructionsReward
    | LanguageReward
    | SqlReward
    | SolverReward
    | LeanReward
    | JudgeReward
    | ModelReward
    | EnsembleReward,
    Field(discriminator="type"),
]

JudgeReward.model_rebuild()
EnsembleReward.model_rebuild()
