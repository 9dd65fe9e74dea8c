"""Solve the robustness suite with opgen and with other solvers, and write the table of docs/robustness.md.

    python benchmarks/robustness.py [--write] [--quick]

A case counts as found if the solver says so and the value is a root: to 1e-12 of a root of 40 digits from a bracket;
from a start, where the next step of Newton's method is below 1e-9 of it. For the others
such a value counts even where they do not claim it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from robustness_reference import reference  # noqa: E402
from robustness_scalar import ROWS, Case, Family, a, b, y  # noqa: E402
from robustness_systems import SYSTEMS, System  # noqa: E402

from opgen.analyse.calculus import derivative  # noqa: E402
from opgen.pipeline import build  # noqa: E402

GROUP = 8
Solver = Callable[[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray], np.ndarray], Any]


def packages() -> Callable[[str], Any]:
    """Build the suite's operators and give the function of a name."""
    folder = Path(tempfile.mkdtemp())
    source = ROOT / "tests" / "robustness_ops.py"
    build(source, output=folder / "robustness_packages", targets=("numpy",), progress=print)
    sys.path.insert(0, str(folder))
    return lambda name: getattr(importlib.import_module(f"robustness_packages.{name}"), name)


def hybr(F: Any, J: Any, start: np.ndarray) -> Any:
    """SciPy's Powell hybrid method, with the exact Jacobian."""
    from scipy.optimize import root

    found = root(F, start, jac=J, method="hybr", options={"xtol": 1e-12, "maxfev": 1000})
    return found.x if found.success or is_root(found.x, F, J) else None


def optimistix_newton(F: Any, J: Any, start: np.ndarray) -> Any:
    """Optimistix's Newton method on the same functions."""
    import jax
    import jax.numpy as jnp
    import optimistix

    jax.config.update("jax_enable_x64", True)

    @jax.custom_jvp
    def call(x: Any) -> Any:
        return jax.pure_callback(
            lambda v: np.asarray(F(np.asarray(v)), float), jax.ShapeDtypeStruct(start.shape, float), x
        )

    @call.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        shape = jax.ShapeDtypeStruct((start.size, start.size), float)
        matrix = jax.pure_callback(
            lambda v: np.asarray(J(np.asarray(v)), float), shape, primals[0], vmap_method="sequential"
        )
        return call(primals[0]), matrix @ tangents[0]

    solver = optimistix.Newton(rtol=1e-14, atol=1e-14)
    found = optimistix.root_find(lambda x, _: call(x), solver, jnp.asarray(start), max_steps=200, throw=False)
    value = np.asarray(found.value)
    return value if found.result == optimistix.RESULTS.successful or is_root(value, F, J) else None


def functions(unknowns: Any, residual: Any, parameters: dict[sp.Symbol, float]) -> tuple[Any, Any]:
    """Give F and its Jacobian in NumPy."""
    equations = sp.Matrix(
        [sp.sympify(e).xreplace({k: sp.Float(v, 17) for k, v in parameters.items()}) for e in residual]
    )
    slopes = sp.Matrix([[derivative(e, u) for u in unknowns] for e in equations])
    made = [sp.lambdify([list(unknowns)], e, ["numpy", "scipy"]) for e in (equations, slopes)]
    count = len(unknowns)
    return (lambda x: np.ravel(made[0](x)).astype(float)), (
        lambda x: np.reshape(made[1](x), (count, count)).astype(float)
    )


def is_root(value: np.ndarray, F: Any, J: Any) -> bool:
    """Say whether the next step of Newton's method would be rounding."""
    with np.errstate(all="ignore"):
        try:
            step = np.linalg.lstsq(J(value), F(value), rcond=None)[0]
        except (np.linalg.LinAlgError, ValueError):
            return False
    return bool(np.isfinite(value).all() and (np.abs(step) <= 1e-9 * np.abs(value).max() + 1e-12).all())


def starts() -> list[tuple[str, Any, Any, np.ndarray, Any]]:
    """List name, F, J, start and opgen's call for everything that has a start."""
    problems: list[tuple[str, Any, Any, np.ndarray, Any]] = []
    for number, family, case in ROWS:
        if family.root and family.regular:
            F, J = functions([y], [family.residual], {a: case.a, b: case.b})
            start = case.start if case.start is not None else 0.5 * (case.low + case.high)
            problems.append((family.name, F, J, np.array([start]), (number, case)))
    for system in SYSTEMS:
        if system.regular and system.solvable:
            F, J = functions(system.unknowns, system.residual, {system.parameter: 1.0})
            problems.append((system.name, F, J, np.array([float(v) for v in system.start]), system))
    return problems


def opgen_start(op: Callable[[str], Any], which: Any, start: np.ndarray) -> Any:
    """Solve from a start; None if opgen says that it has failed."""
    if isinstance(which, System):
        found = op(which.name).solve(1.0)
    else:
        number, case = which
        found = op(f"started{number // GROUP * GROUP}").solve(float(number), case.a, case.b, initial=float(start[0]))
    return np.ravel(found.value).astype(float) if found.converged else None


def brackets(op: Callable[[str], Any]) -> list[tuple[str, int, int]]:
    """Count the roots found from their brackets: opgen, and SciPy's TOMS 748."""
    from scipy.optimize import toms748

    def check(family: Family, case: Case, value: Any) -> bool:
        exact = reference(family, case)
        return value is not None and abs(value - exact) <= 1e-12 * abs(exact) + 1e-60

    def toms(family: Family, case: Case) -> Any:
        F, _ = functions([y], [family.residual], {a: case.a, b: case.b})
        try:
            return toms748(lambda t: F(np.array([t]))[0], case.low, case.high, xtol=1e-300, rtol=1e-15, maxiter=1000)
        except (ValueError, RuntimeError):
            return None

    def ours(number: int, case: Case) -> Any:
        found = op(f"bracketed{number // GROUP * GROUP}").solve(float(number), case.a, case.b, case.low, case.high)
        return found.value if found.converged else None

    rows = [(n, f, c) for n, f, c in ROWS if f.root and f.regular]
    jumps = [(n, f, c) for n, f, c in ROWS if not f.root]
    return [
        ("opgen", sum(check(f, c, ours(n, c)) for n, f, c in rows), sum(ours(n, c) is not None for n, f, c in jumps)),
        (
            "SciPy toms748",
            sum(check(f, c, toms(f, c)) for n, f, c in rows),
            sum(toms(f, c) is not None for n, f, c in jumps),
        ),
    ]


def main() -> None:
    """Print both tables, and put them into the documentation if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/robustness.md")
    parser.add_argument("--quick", action="store_true", help="leave out optimistix, which compiles every case")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    op = packages()
    problems = starts()
    solvers: dict[str, Any] = {"opgen": None, "SciPy hybr": hybr}
    if not given.quick and importlib.util.find_spec("optimistix"):
        solvers["optimistix Newton"] = optimistix_newton
    lines = [
        f"| from a start ({len(problems)} cases) | found | failed and said so | claimed without a root |",
        "|---|---|---|---|",
    ]
    missed: dict[str, list[str]] = {}
    for name, solver in solvers.items():
        found = false = 0
        for problem, F, J, start, which in problems:
            with np.errstate(all="ignore"):
                try:
                    value = opgen_start(op, which, start) if solver is None else solver(F, J, start)
                except (ValueError, FloatingPointError, OverflowError, RuntimeError):
                    value = None
            good = value is not None and is_root(np.asarray(value), F, J)
            found, false = found + good, false + (value is not None and not good)
            if not good:
                missed.setdefault(name, []).append(problem)
        lines.append(f"| {name} | {found} | {len(problems) - found - false} | {false} |")
    total = sum(f.root and f.regular for _, f, _ in ROWS)
    poles = sum(not f.root for _, f, _ in ROWS)
    lines += [
        "",
        f"| from a bracket ({total} roots, {poles} poles and jumps) | roots found | poles taken for roots |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {found} | {false} |" for name, found, false in brackets(op)]
    table = "\n".join(lines)
    print(table)
    for name, cases in missed.items():
        print(f"{name} missed: {', '.join(sorted(set(cases)))}")
    if given.write:
        page = ROOT / "docs" / "robustness.md"
        text = page.read_text(encoding="utf-8")
        head, _, rest = text.partition("<!-- table -->\n")
        _, _, tail = rest.partition("<!-- end of table -->")
        page.write_text(f"{head}<!-- table -->\n{table}\n<!-- end of table -->{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
