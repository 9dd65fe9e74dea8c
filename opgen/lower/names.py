"""Identifiers for what users name freely."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ο": "omicron", "π": "pi", "ρ": "rho",
    "σ": "sigma", "ς": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
    "ϵ": "epsilon", "ϑ": "theta", "ϕ": "phi", "∂": "d", "′": "_prime",
}  # fmt: skip

CXX_KEYWORDS = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class compl
    concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete
    do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable
    namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast
    requires return short signed sizeof static static_assert static_cast struct switch template this thread_local throw
    true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq linux
    unix""".split()
)

# What generated code calls by name itself: arrays, types, functions of the runtime.
RESERVED = frozenset(
    """inputs unknowns residual jacobian scale cotangents gradient adjoint transposed conditioning guess lower upper
    values auxiliary prologue Real Prologue fixed solution tangent tangents direction directions correction curved
    curvature second factor variables variables_of unknowns_of expand steps_single steps_double substituted finite_or
    name slope auxiliaries linear bounded open max_iterations input_names jacobian_name
    linearise residual_pullback residual_tangent evaluate bounds explicit_ opgen at std main errno assert NULL EOF exp
    expm1 log log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt erf erfc pow atan2 abs sign floor
    ceil gamma loggamma digamma trigamma tetragamma pentagamma heaviside max min select power sqrt root3 nan
    infinity epsilon lanes block lane all any none finite load store read count text strides Pack Mask Vec Bits Traits
    generated NAN INFINITY signbit isnan isinf M_PI stdin stdout stderr""".split()
)


def identifier(name: str) -> str:
    """Spell a name with ASCII letters, digits and underscores, starting with a letter."""
    spelled = "".join(f"_{GREEK[c]}_" if c in GREEK and len(name) > 1 else GREEK.get(c, c) for c in name)
    ascii_only = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    cleaned = re.sub(r"_+", "_", re.sub(r"\W", "_", ascii_only)).strip("_")
    return cleaned if cleaned and not cleaned[0].isdigit() else f"s{'_' if cleaned else ''}{cleaned}"


def fields(names: Iterable[str]) -> tuple[str, ...]:
    """Give each name a field of a named tuple: the name itself wherever Python allows it."""
    taken: list[str] = []
    for name in names:
        legal = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
        spelled = name if legal else identifier(name)
        if keyword.iskeyword(spelled) or spelled in taken:
            spelled += f"_{len(taken)}" if spelled in taken else "_"
        taken.append(spelled)
    return tuple(taken)


def identifiers(names: Iterable[str]) -> tuple[str, ...]:
    """Give each name an identifier that is valid in C++ and Python, means nothing else there, and is its own."""
    taken: set[str] = set()
    out = []
    for name in names:
        spelled = identifier(name)
        meaning = spelled in CXX_KEYWORDS or spelled in RESERVED or keyword.iskeyword(spelled)
        if meaning or re.fullmatch(r"[ctv]\d+", spelled):
            spelled += "_"
        candidate, i = spelled, 2
        while candidate in taken:
            candidate, i = f"{spelled.rstrip('_')}_{i}", i + 1
        taken.add(candidate)
        out.append(candidate)
    return tuple(out)
