"""The words and commands of answers: functions, operators left undone, Greek letters, words that end a value."""

from __future__ import annotations

FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "ln", "log", "lg", "exp", "sqrt", "cbrt", "abs"}
    | {"arcsin", "arccos", "arctan", "arccot", "arcsinh", "arccosh", "arctanh", "asin", "acos", "atan"}
)
UNDONE = frozenset(
    {"int", "iint", "iiint", "oint", "sum", "prod", "coprod", "lim", "limsup", "liminf", "nabla", "partial", "integral"}
    | {"integrate", "limit", "derivative", "diff", "summation", "product", "gcd", "lcm", "max", "min", "mod", "bmod"}
    | {"det", "argmax", "argmin", "sup", "inf", "Pr", "dim", "deg"}
)
GREEK = frozenset(
    {"alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa"}
    | {"lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega", "Gamma"}
    | {"Delta", "Theta", "Lambda", "Xi", "Sigma", "Phi", "Psi", "Omega", "ell", "hbar"}
)
STOPS = frozenset(
    {"and", "or", "if", "when", "where", "for", "is", "not", "but", "nor", "to", "then", "otherwise", "union"}
)
UNSAYING = frozenset(  # among the words after a number, they make it another value
    {
        "minus",
        "plus",
        "times",
        "divided",
        "squared",
        "cubed",
        "wrong",
        "incorrect",
        "false",
        "or",
        "and",
        "not",
        "never",
    }
    | {"either", "maybe", "perhaps", "unless", "more", "less", "fewer", "greater", "least", "most", "about", "than"}
    | {"approximately", "impossible", "no", "none"}
)
CURRENCIES = frozenset("$€£¥₹")
