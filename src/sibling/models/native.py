"""The kernels of kernels.c and decode.c: compiled with the machine's own C compiler, cached, called on tensors.

Without a compiler, or on a GPU, everything runs through the transformers modules instead, only slower; the
environment variable SIBLING_KERNELS=torch asks for that. `state` says which it is and why.

Shapes: n rows of a packed batch, w width of the row. T: float32, or bfloat16 where an array `half` holds it.
It is long because every kernel has its wrapper here, one after another; nothing in it is deep.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sibling.models.embedded import cache_dir

SOURCES = tuple(Path(__file__).with_name(name) for name in ("kernels.c", "decode.c"))
HEADER = Path(__file__).with_name("kernels.h")

_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
_EXTRAS = (("-fopenmp", "-mprefer-vector-width=512"), ("-fopenmp",), ())  # the first set that the compiler takes
REACH = 7.0
"""Logits so far (in nats) below the largest are left rounded: a token there has less than 0.1 % of its probability."""

_SECONDS = 120  # most time for the compiler


@dataclass(frozen=True)
class State:
    """Whether the kernels can be used here, and in one line why or why not."""

    library: Any  # ctypes.CDLL or None
    reason: str
    digest: str | None = None  # of source, compiler and machine


def available() -> bool:
    """Whether the kernels run here and are wanted."""
    return os.environ.get("SIBLING_KERNELS", "native") != "torch" and state().library is not None


def describe() -> str:
    """native or torch, for the record."""
    return "native" if available() else "torch"


@functools.cache
def state() -> State:
    """Compile if needed, and load. Never raises: what went wrong is in `reason`."""
    compiler = os.environ.get("CC") or next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None or shutil.which(compiler) is None:
        return State(None, "no C compiler was found; install gcc or clang, or set CC")
    digest = _digest(compiler)
    target = cache_dir() / "kernels" / f"{digest}.so"
    try:
        if not target.is_file():
            _compile(compiler, target)
        library = ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError) as error:
        return State(None, f"{compiler} did not make them: {' '.join(str(error).split())[:300]}")
    return State(library, f"compiled by {compiler}, kept in {target}", digest)


def _digest(compiler: str) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=False)
    text = "".join(path.read_text() for path in (HEADER, *SOURCES))
    parts = (text, version.stdout, repr((_FLAGS, _EXTRAS)), platform.machine(), _processor())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """What `-march=native` looks at: a cache may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compile(compiler: str, target: Path) -> None:
    """Write aside, then rename: two processes may compile at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / "kernels.so"
        message = ""
        for extra in _EXTRAS:
            command = [compiler, *_FLAGS, *extra, *map(str, SOURCES), "-o", str(made), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
            if done.returncode == 0:
                made.replace(target)
                return
            message = done.stderr
        raise OSError(message)


# ------------------------------------------------------------------------------------------------ calls


def _call(name: str, *arguments: Tensor | int | float | None) -> int:
    """Tensors go as pointers, None as a null pointer; numbers as the signature in `_SIGNATURES` says."""
    return _functions()[name](*[_pointer(a) if isinstance(a, Tensor) else a for a in arguments])  # type: ignore[no-any-return]


def _pointer(tensor: Tensor) -> int:
    assert tensor.is_contiguous()  # the kernels know no strides
    return tensor.data_ptr()


_SIGNATURES = {  # p pointer, l long, f float, i int
    "add_norm": "pppffppplli",
    "norm_backward": "ppppfpppppl" + "li",
    "rope": "pppllllfi",
    "gated": "ppppllii",
    "group_attention": "pppllllflppppi",
    "decode_attention": "ppppp" + "plppp" + "llllfl" + "pi",
    "matrix_unit": "",
    "lay_out": "pplll",
    "decode_layers": "plppp" + "plppp" + "llllf" + "llffi" + "pl",
    "transpose": "ppll",
    "transpose_to_float": "pplli",
    "refine": "ppppfplll",
    "draw": "ppppll",
    "score": "pppppll",
    "score_backward": "pppppppl" + "li",
}


@functools.cache
def _functions() -> dict[str, Any]:
    kinds = {"p": ctypes.c_void_p, "l": ctypes.c_long, "f": ctypes.c_float, "i": ctypes.c_int}
    out = {}
    for name, signature in _SIGNATURES.items():
        out[name] = getattr(state().library, name)
        out[name].argtypes = [kinds[k] for k in signature]
    return out


def add_norm(
    x: Tensor,
    add: Tensor | None,
    weight: Tensor,
    *,
    offset: float,
    eps: float,
    out: Tensor,
    y: Tensor | None = None,
    scale: Tensor | None = None,
) -> None:
    """y = x + add; out = y / sqrt(mean y^2 + eps) * (offset + weight); scale [n] = that reciprocal root.

    x, y [n, w] and weight [w] float32, add and out T [n, w]; y may be x.
    """
    n, w = x.shape
    _call("add_norm", x, add, weight, float(offset), float(eps), y, out, scale, n, w, _half(out))


def norm_backward(
    dout: Tensor,
    dy: Tensor | None,
    y: Tensor,
    weight: Tensor,
    scale: Tensor,
    *,
    offset: float,
    again: Tensor | None = None,
    dadd: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """dx [n, w] and dweight [w] of `add_norm`; fills `again` with its out and `dadd` with dx, both T, if given."""
    n, w = y.shape
    dx, sums = torch.empty_like(y), y.new_empty(-(-n // 64), w)
    _call("norm_backward", dout, dy, y, weight, float(offset), scale, dx, dadd, again, sums, n, w, _half(dout))
    return dx, sums.sum(0)


def rope_(x: Tensor, cosine: Tensor, sine: Tensor, *, heads: int, backward: bool = False) -> None:
    """Rotate the first `heads` heads of x T [n, stride] in place; cosine and sine [n, size] float32."""
    n, size = cosine.shape
    _call("rope", x, cosine, sine, n, x.shape[1], heads, size, -1.0 if backward else 1.0, _half(x))


def gated(both: Tensor, *, tanh_form: bool) -> Tensor:
    """act(gate) up [n, w] of both [n, 2 w] = (gate, up)."""
    n, w = both.shape[0], both.shape[1] // 2
    out = both.new_empty(n, w)
    _call("gated", both, None, out, None, n, w, int(tanh_form), _half(both))
    return out


def gated_backward(both: Tensor, dout: Tensor, *, tanh_form: bool) -> tuple[Tensor, Tensor]:
    """`gated` again, and the gradient [n, 2 w] of `both`."""
    n, w = dout.shape
    out, dboth = torch.empty_like(dout), torch.empty_like(both)
    _call("gated", both, dout, out, dboth, n, w, int(tanh_form), _half(both))
    return out, dboth


@dataclass(frozen=True)
class Heads:
    """Heads of an attention layer, and how much a query sees."""

    heads: int
    kv_heads: int
    size: int  # D
    scale: float
    window: int | None  # most positions seen back, itself included; None: all


def group_attention(qkv: Tensor, groups: Tensor, lengths: Tensor, heads: Heads) -> tuple[Tensor, Tensor]:
    """Attention of packed groups: out T [S, H D], and the logsumexp [S, H] of each query's scores.

    qkv T [S, (H + 2 K) D], rotated. groups [U, 4] int32: first token, tokens of the prompt, index of the first sibling
    in lengths [N] int32, number of siblings.
    """
    out = qkv.new_empty(len(qkv), heads.heads * heads.size)
    norm = torch.empty(len(qkv), heads.heads)
    _group_attention(qkv, groups, lengths, heads, out, norm, None, None)
    return out, norm


def group_attention_backward(
    qkv: Tensor, groups: Tensor, lengths: Tensor, heads: Heads, out: Tensor, norm: Tensor, dout: Tensor
) -> Tensor:
    """The gradient of qkv, given out and norm of `group_attention` and the gradient of out."""
    dqkv = torch.empty_like(qkv)
    _group_attention(qkv, groups, lengths, heads, out, norm, dout, dqkv)
    return dqkv


def _group_attention(
    qkv: Tensor,
    groups: Tensor,
    lengths: Tensor,
    heads: Heads,
    out: Tensor,
    norm: Tensor,
    dout: Tensor | None,
    dqkv: Tensor | None,
) -> None:
    counts = (len(groups), heads.heads, heads.kv_heads, heads.size, float(heads.scale), heads.window or 0)
    if _call("group_attention", qkv, groups, lengths, *counts, out, norm, dout, dqkv, _half(qkv)):
        raise MemoryError("no memory for the keys of a group")


def decode_attention(
    qkv: Tensor,
    rotation: tuple[Tensor, Tensor],
    keys: Tensor,
    values: Tensor,
    *,
    table: Tensor,
    prompt: Tensor,
    own: Tensor,
    spans: Tensor,
    heads: Heads,
    out: Tensor,
) -> None:
    """Attention of one new token of B rows over paged keys and values; see kernels.c for the layout.

    qkv T [B, (H + 2 K) D] before its rotation by cosine and sine [B, D]; keys T [pages, K, D, 32] and values T
    [pages, K, 32, D]; table [B, width], prompt and own [B], spans [U, 2] int32; out T [B, H D].
    """
    _call(
        "decode_attention",
        qkv,
        *rotation,
        keys,
        values,
        table,
        table.shape[1],
        prompt,
        own,
        spans,
        len(spans),
        heads.heads,
        heads.kv_heads,
        heads.size,
        float(heads.scale),
        heads.window or 0,
        out,
        _half(out),
    )


@functools.cache
def matrix_unit() -> bool:
    """Whether the processor has a matrix unit for bfloat16 that the kernels use (Intel AMX), and the system lets us."""
    return available() and bool(_call("matrix_unit"))


def lay_out(weight: Tensor, *, pair: int = 0) -> Tensor:
    """weight [out, in] bfloat16 as the matrix unit reads it; `pair`: rows lie beside those so many behind."""
    to = torch.empty_like(weight)
    _call("lay_out", weight, to, *weight.shape, pair)
    return to


def decode_layers(
    layers: Tensor,
    x: Tensor,
    rotation: tuple[Tensor, Tensor],
    *,
    table: Tensor,
    prompt: Tensor,
    own: Tensor,
    spans: Tensor,
    heads: Heads,
    wide: int,
    offset: float,
    eps: float,
    tanh_form: bool,
    room: Tensor,
) -> None:
    """x [B, W] float32 of one new token a row through all layers, in place; see decode.c and `decode_attention`."""
    _call(
        "decode_layers",
        layers,
        len(layers),
        x,
        *rotation,
        table,
        table.shape[1],
        prompt,
        own,
        spans,
        len(spans),
        heads.heads,
        heads.kv_heads,
        heads.size,
        float(heads.scale),
        x.shape[1],
        wide,
        float(offset),
        float(eps),
        int(tanh_form),
        room,
        len(x),
    )


def transposed(x: Tensor) -> Tensor:
    """x [n, w] bfloat16 as a contiguous [w, n]: twice to five times as fast as torch's copy."""
    out = x.new_empty(x.shape[1], x.shape[0])
    _call("transpose", x, out, *x.shape)
    return out


def transposed_float(x: Tensor, add_to: Tensor | None = None) -> Tensor:
    """x [n, w] bfloat16 as [w, n] float32, or added to what is given in place."""
    to = torch.empty(x.shape[1], x.shape[0]) if add_to is None else add_to
    _call("transpose_to_float", x, to, *x.shape, int(add_to is not None))
    return to


def refine(rough: Tensor, x: Tensor, weight: Tensor, tokens: Tensor | None = None) -> Tensor:
    """Logits [n, V] float32 of rough = x weight^T, all bfloat16: those with any mass are not rounded; see kernels.c."""
    (n, v), w = rough.shape, x.shape[1]
    out = torch.empty(n, v)
    _call("refine", rough, x, weight, tokens, REACH, out, n, v, w)
    return out


def draw(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and log-probs [n] of logits [n, V] float32 by inversion of uniforms [n] float64; see likelihood.draw."""
    n, v = logits.shape
    tokens, logprobs = torch.empty(n, dtype=torch.long), logits.new_empty(n)
    _call("draw", logits, uniform, tokens, logprobs, n, v)
    return tokens, logprobs


def score(logits: Tensor, tokens: Tensor, *, with_entropy: bool) -> tuple[Tensor, Tensor | None, Tensor]:
    """Log-probs [n] of tokens, entropies [n] if wanted, and norms [n, 2] for `score_backward`."""
    n, v = logits.shape
    logprobs, norm = logits.new_empty(n), logits.new_empty(n, 2)
    entropy = logits.new_empty(n) if with_entropy else None
    _call("score", logits, tokens, logprobs, entropy, norm, n, v)
    return logprobs, entropy, norm


def score_backward(
    logits: Tensor,
    tokens: Tensor,
    norm: Tensor,
    dlogprob: Tensor,
    *,
    out: Tensor,
    entropy: Tensor | None = None,
    dentropy: Tensor | None = None,
) -> None:
    """Fill out T [n, V] with d(sum dlogprob logprob + dentropy entropy) / d logits."""
    n, v = logits.shape
    _call("score_backward", logits, tokens, norm, dlogprob, entropy, dentropy, out, n, v, _half(out))


def _half(x: Tensor) -> int:
    return int(x.dtype is torch.bfloat16)
