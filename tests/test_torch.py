"""The PyTorch adapter: values, derivatives in every mode, transforms, traces, failures, and the binary it lies in."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opgen.build.toolchain import find_torch, has_stable_interface
from opgen.pipeline import build

pytestmark = [
    pytest.mark.compiler,
    pytest.mark.xdist_group("torch"),
    pytest.mark.skipif(not has_stable_interface(find_torch()), reason="PyTorch 2.10 or newer is not installed"),
    # Of PyTorch about itself, in forward mode and in its compiler.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*_prims_common.check:FutureWarning"),
]
RESIDUALS = """
import sympy as sp
import opgen
M, e, E, a, b, p, q = sp.symbols("M e E a b p q", real=True)
x, y = sp.symbols("x y", positive=True)
cuberoot = opgen.Implicit(residual=x**2 - y**3 / (1 + x), unknown=y, inputs=[x])
kepler = opgen.Implicit(residual=E - e * sp.sin(E) - M, unknown=E, inputs=[M, e], guess=M + e * sp.sin(M),
                        bounds=(M - e, M + e), auxiliary={"r": 1 - e * sp.cos(E)})
parab = opgen.Implicit(residual=E**2 - M, unknown=E, inputs=[M], guess=1.0)
pair = opgen.Implicit(residual=[p + q - a, p * q - b], unknown=[p, q], inputs=[a, b], guess={p: a, q: 0})
"""
TABLE = [1.0499342082457277, 1.0175237711585172, 1.008922214940025, 1.0054028553482124, 1.0036219820057994]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("torch")
    (root / "ops.py").write_text(RESIDUALS)
    build(root / "ops.py", output=root / "for_torch", targets=("numpy", "torch"))
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))


@pytest.fixture(scope="module")
def torch(folder: Path) -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def op(folder: Path) -> Any:
    return lambda name: getattr(importlib.import_module(f"for_torch.{name}"), name)


@pytest.fixture(scope="module")
def inputs(torch: Any) -> Any:
    """Give, for each of two operators, inputs that broadcast."""
    rng = np.random.default_rng(0)
    cases = {
        "kepler": (rng.uniform(0.3, 6, (3, 1)), rng.uniform(0.1, 0.8, 2)),
        "pair": (rng.uniform(4, 5, 3), np.array(1.5)),
    }
    return lambda name: [torch.tensor(a, requires_grad=True) for a in cases[name]]


def run(code: str, folder: Path) -> str:
    """Run Python in a process of its own and return what it prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def closed(v: Any) -> Any:
    """The root of `cuberoot` in PyTorch's own operators."""
    return (v**2 * (1 + v)) ** (1 / 3)


@pytest.mark.parametrize("adjoint", ["auto", "direct", "gmres"])
def test_the_table(torch: Any, op: Any, adjoint: str) -> None:
    x = torch.tensor([1.0, 2, 3, 4, 5], dtype=torch.float64, requires_grad=True)
    y = op("cuberoot")(x, adjoint=adjoint)
    np.testing.assert_allclose(y.detach(), closed(x.detach()), rtol=4e-16)
    np.testing.assert_allclose(torch.autograd.grad(y.sum(), x)[0], TABLE, rtol=1e-12)


@pytest.mark.parametrize("adjoint", ["direct", "gmres"])
@pytest.mark.parametrize("name", ["kepler", "pair"])
def test_first_and_second_derivatives_in_both_modes(torch: Any, op: Any, inputs: Any, name: str, adjoint: str) -> None:
    def f(*x: Any) -> Any:
        return tuple(op(name)(*x, adjoint=adjoint))

    assert torch.autograd.gradcheck(f, inputs(name), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, inputs(name), check_fwd_over_rev=True)


TRANSFORMS: dict[str, Callable[[Any, Any], Any]] = {
    "jacrev": lambda F, f: F.jacrev(f),
    "jacfwd": lambda F, f: F.jacfwd(f),
    "hessian": lambda F, f: F.hessian(f),
    "reverse over reverse": lambda F, f: F.jacrev(F.jacrev(f)),
    "forward over forward": lambda F, f: F.jacfwd(F.jacfwd(f)),
    "reverse over forward": lambda F, f: F.jacrev(F.jacfwd(f)),
    "vmap of grad": lambda F, f: F.vmap(F.grad(f)),
    "vmap of grad of grad": lambda F, f: F.vmap(F.grad(F.grad(f))),
    "vmap of hessian": lambda F, f: F.vmap(F.hessian(f)),
    "grad of vmap": lambda F, f: F.grad(lambda v: F.vmap(f)(v).sum()),
}


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_are_those_of_the_closed_form(torch: Any, op: Any, transform: str, raw: bool) -> None:
    """Of the function, and of the operator as torch.ops has it."""
    x = torch.tensor([1.2, 1.9, 0.7], dtype=torch.float64)
    apply = TRANSFORMS[transform]
    cuberoot = op("cuberoot")
    if raw:
        cuberoot(x)
        cuberoot = importlib.import_module("for_torch.cuberoot.torch_autograd").Forward.op
    torch.testing.assert_close(apply(torch.func, cuberoot)(x), apply(torch.func, closed)(x), rtol=1e-10, atol=1e-12)


def test_tangents_along_a_curve(torch: Any, op: Any) -> None:
    """Where the point and the direction move together, nested forward mode has to see both."""
    x, t = torch.tensor([1.2, 1.9], dtype=torch.float64), torch.tensor(1.1, dtype=torch.float64)

    def along(f: Any) -> Any:
        return lambda t: torch.func.jvp(f, (x * t,), (torch.sin(x * t),))[1]

    for mode in (torch.func.jacfwd, torch.func.jacrev):
        torch.testing.assert_close(mode(along(op("cuberoot")))(t), mode(along(closed))(t))


def test_third_derivatives_are_refused(torch: Any, op: Any) -> None:
    cuberoot, x = op("cuberoot"), torch.tensor(1.5, dtype=torch.float64)
    grad, fwd = torch.func.grad, torch.func.jacfwd
    for third in (
        grad(grad(grad(cuberoot))),
        fwd(fwd(fwd(cuberoot))),
        fwd(grad(grad(cuberoot))),
        grad(fwd(grad(cuberoot))),
    ):
        with pytest.raises(NotImplementedError, match="cuberoot: third derivatives are not generated; differentiate"):
            third(x)
    x.requires_grad_()
    (first,) = torch.autograd.grad(cuberoot(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="third derivatives"):
        torch.autograd.grad(second, x)


def test_vmap_over_any_axes(torch: Any, op: Any) -> None:
    kepler, vmap = op("kepler"), torch.func.vmap
    M, e = torch.rand(3, 4, 5, dtype=torch.float64) * 4, torch.rand(5, dtype=torch.float64) / 2
    want = kepler(M, e)
    for got in (
        vmap(kepler, in_dims=(0, None))(M, e),
        vmap(kepler, in_dims=(2, 0), out_dims=2)(M, e),
        vmap(vmap(kepler, in_dims=(1, 0), out_dims=1), in_dims=(0, None))(M, e),
        vmap(kepler, in_dims=(1, None), out_dims=1)(M, e),
    ):
        assert torch.equal(got.E, want.E)
        assert torch.equal(got.r, want.r)
    apart = vmap(torch.func.grad(lambda M, e: kepler(M, e).r, argnums=(0, 1)), in_dims=(None, 0))(M[0, 0, 0], e)
    leaves = M[0, 0, 0].expand(5).clone().requires_grad_(), e.clone().requires_grad_()
    torch.testing.assert_close(apart, torch.autograd.grad(kepler(*leaves).r.sum(), leaves))
    assert vmap(lambda M: kepler.solve(M, 0.3, initial=M).iterations)(M).shape == M.shape


def test_operators_pass_opcheck(torch: Any, op: Any, inputs: Any) -> None:
    M, e = inputs("kepler")
    y, r = (t.detach() for t in op("kepler")(M, e))
    own = importlib.import_module("for_torch.kepler.torch_autograd")
    v = (torch.ones_like(M), None)
    torch.library.opcheck(own.Forward.op, (M, e))
    torch.library.opcheck(own.Forward.op, (M, e, y, 1e-12, 20, "direct", "nan"))
    torch.library.opcheck(own.Solve.op, (M, e))
    torch.library.opcheck(own.Adjoint.op, (M, e, y, torch.ones_like(y), None, [1]))
    torch.library.opcheck(own.Tangent.op, (M, e, y, *v))
    torch.library.opcheck(own.Residual.op, (M, e, y))
    M, e = M.detach(), e.detach()
    torch.library.opcheck(own.Second.op, (M, e, y, torch.ones_like(y), r, *v, [0, 1]))
    torch.library.opcheck(own.ResidualPullback.op, (M, e, y, r, [0, 2]))
    torch.library.opcheck(own.plain, (M.float(), e.float()))


def test_compiled_is_eager(torch: Any, op: Any) -> None:
    """The first call there is, with the compiler that users have; then any sizes, options and numbers."""
    kepler = op("kepler")
    torch._dynamo.reset()

    def f(M: Any, e: Any) -> Any:
        found = kepler(M * 1.0, e, adjoint="gmres", initial=M, tol=1e-14)
        return (found.E * found.r).sum() + kepler(M, 0.3).E.sum()

    compiled = torch.compile(f, fullgraph=True, dynamic=True)
    for n in (3, 7):
        for _ in range(2):
            M, e = (torch.rand(n, dtype=torch.float64, requires_grad=True) for _ in range(2))
            torch.testing.assert_close(compiled(M, e), f(M, e), rtol=1e-14, atol=0)
            got, want = (torch.autograd.grad(g(M, e), (M, e)) for g in (compiled, f))
            torch.testing.assert_close(got, want, rtol=1e-13, atol=0)


def test_the_first_call_may_be_compiled(folder: Path) -> None:
    code = """
import torch
from for_torch.parab import parab
f = torch.compile(lambda x: parab(x), fullgraph=True, backend="eager")
assert f(torch.tensor([4.0])).tolist() == [2]
try:
    f(torch.tensor([4.0, -1.0]))
except RuntimeError as error:
    print(error)"""
    assert run(code, folder).startswith("parab: 1 of 2 points did not converge; first at index [1] (M = -1)")


@pytest.mark.parametrize("transform", ["jacrev", "jacfwd", "hessian", "vmap of grad"])
def test_compiled_transforms(torch: Any, op: Any, transform: str) -> None:
    torch._dynamo.reset()
    x = torch.tensor([1.2, 1.9, 0.7], dtype=torch.float64)
    f = TRANSFORMS[transform](torch.func, op("cuberoot"))
    torch.testing.assert_close(torch.compile(f, fullgraph=True, backend="aot_eager")(x), f(x))


def test_exported_program_needs_only_the_library(torch: Any, op: Any, folder: Path) -> None:
    """Its value, and its gradient, which make_fx has to trace before: torch.export does not follow torch.func."""
    from torch.fx.experimental.proxy_tensor import make_fx

    kepler = op("kepler")
    M, e = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)

    class Value(torch.nn.Module):
        def forward(self, M: Any, e: Any) -> Any:
            return tuple(kepler(M, e))

    sizes = {"M": {0: torch.export.Dim("n")}, "e": None}
    for strict in (False, True):
        torch.export.save(
            torch.export.export(Value(), (M, e), dynamic_shapes=sizes, strict=strict), folder / "value.pt2"
        )
    slope = torch.func.vmap(torch.func.grad(lambda M, e: kepler(M, e).E), in_dims=(0, None))
    torch.export.save(torch.export.export(make_fx(slope)(M, e), (M, e)), folder / "slope.pt2")
    code = """
import torch
torch.ops.load_library("for_torch/kepler/lib/libkepler_torch.so")
e = torch.tensor(0.3, dtype=torch.float64)
for name, n in (("value", 5), ("slope", 3)):
    print(torch.export.load(name + ".pt2").module()(torch.arange(1.0, n + 1, dtype=torch.float64), e)[0].tolist())"""
    value, first = (eval(line) for line in run(code, folder).splitlines())
    np.testing.assert_array_equal(value, kepler(np.arange(1.0, 6), 0.3).E)
    assert first == pytest.approx(slope(M, e)[0].item(), rel=1e-14)


def test_operands_are_read_where_they_lie(torch: Any, op: Any) -> None:
    kepler, cuberoot = op("kepler"), op("cuberoot")
    M, e = torch.rand(6, 4, dtype=torch.float64) * 3, torch.rand(4, 6, dtype=torch.float64) / 2
    want = kepler(M, e.t().contiguous())
    assert torch.equal(kepler(M, e.t()).E, want.E)
    assert torch.equal(kepler(M[::2, 1::2], e.t()[::2, 1::2]).E, want.E[::2, 1::2])
    assert torch.equal(kepler(M[:1].expand(5, 4), e.t()[0]).E, want.E[:1].expand(5, 4))
    assert torch.equal(cuberoot(torch._neg_view(-M)), cuberoot(M))
    small = [
        torch.rand(1, 4, dtype=torch.float64, requires_grad=True),
        torch.rand(4, 3, dtype=torch.float64, requires_grad=True),
    ]
    assert torch.autograd.gradcheck(lambda M, e: kepler(M.expand(3, 4), e.t() / 2).E, small)


def test_python_numbers_arrays_and_parameters(torch: Any, op: Any) -> None:
    kepler = op("kepler")
    M = torch.tensor([1.0, 2.0], dtype=torch.float64)
    want = kepler(np.array([1.0, 2.0]), 0.5).E
    frozen = np.array([0.5])
    frozen.flags.writeable = False
    scalars = (0.5, np.float64(0.5), np.array(0.5), torch.tensor(0.5, dtype=torch.float64), [0.5])
    for e in (*scalars, frozen, frozen.astype(">f8"), np.array([0.5, 0.5])[::-1]):
        np.testing.assert_array_equal(kepler(M, e).E, want)
    assert kepler(M.float(), 0.5).E.dtype == torch.float32
    assert kepler(torch.tensor(1.0), 0).E.shape == ()
    assert kepler(torch.zeros(0, 3), 0.5).E.shape == (0, 3)
    assert kepler(torch.ones(3, 1, device="meta"), torch.ones(2, device="meta")).E.shape == (3, 2)
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    op("cuberoot")(weight).sum().backward()
    assert weight.grad.item() == pytest.approx(TABLE[1], rel=1e-6)


def test_wrong_arguments(torch: Any, op: Any) -> None:
    kepler, parab = op("kepler"), op("parab")
    one = torch.tensor([1.0])
    for bad in (one.int(), one.half(), one.bool(), one + 1j):
        with pytest.raises(TypeError, match=r"parab: M has dtype [\w.]+; give a float32 or float64 tensor"):
            parab(bad)
    with pytest.raises(
        TypeError, match="kepler: M is float64 but e is float32; convert one, a call has a single dtype"
    ):
        kepler(one.double(), torch.tensor(0.5))
    for bad in ("0.5", None, True, [True], [one, one], object()):
        with pytest.raises(TypeError, match="kepler: e "):
            kepler(one, bad)
    with pytest.raises(TypeError, match="kepler: e is a list of rows of unequal length"):
        kepler(one, [[0.1], [0.1, 0.2]])
    with pytest.raises(TypeError, match=r"kepler: takes 2 inputs \(M, e\), not 1"):
        kepler(one)
    with pytest.raises(TypeError, match=r"parab: M is torch.sparse_coo; give a dense tensor on the CPU"):
        parab(one.to_sparse())
    with pytest.raises(ValueError, match="parab: on_failure is 'shrug'"):
        parab(one, on_failure="shrug")
    for shapes in ((torch.ones(3), torch.ones(2)), (torch.ones(3), torch.ones(2, requires_grad=True))):
        with pytest.raises(
            RuntimeError, match=r"^kepler: argument 2 has shape \[2\], which does not broadcast to \[3\]$"
        ):
            kepler(*shapes)
    own = importlib.import_module("for_torch.parab.torch_autograd")
    for arguments, words in (
        ((one.int(),), "parab: argument 1 is neither float32 nor float64"),
        ((one, one.double()), "parab: argument 2 has another dtype than those before it; a call has a single dtype"),
        ((one, None, 0.0, 0, "magic"), "parab: adjoint is 'magic', which it cannot be"),
    ):
        with pytest.raises(RuntimeError, match=f"^{words}$"):
            own.Forward.op(*arguments)


def test_failures(torch: Any, op: Any) -> None:
    parab = op("parab")
    x = torch.tensor([4.0, -1.0, 9.0], dtype=torch.float64, requires_grad=True)
    sentence = (
        "parab: 1 of 3 points did not converge; first at index [1] (M = -1): residual 1 after 50 iterations; "
        'give a guess or bounds, or on_failure="nan"'
    )
    for given in (x, x.detach()):
        with pytest.raises(RuntimeError) as caught:
            parab(given)
        assert str(caught.value) == sentence
    y = parab(x, on_failure="nan")
    np.testing.assert_array_equal(y.detach(), [2, np.nan, 3])
    np.testing.assert_array_equal(torch.autograd.grad(y.sum(), x)[0], [0.25, 0, 1 / 6])
    solution = parab.solve(x)
    assert solution.converged.tolist() == [True, False, True]
    assert solution.iterations.dtype == torch.int32
    assert solution.residual_norm[1].item() == pytest.approx(1)
    assert solution.value.requires_grad
    assert not solution.residual_norm.requires_grad


@pytest.mark.parametrize("adjoint", ["direct", "gmres"])
def test_singular_points_fail_under_either_adjoint(torch: Any, op: Any, adjoint: str) -> None:
    a, b = torch.tensor([5.0, 4.0], dtype=torch.float64), torch.tensor([4.0, 4.0], dtype=torch.float64)
    a.requires_grad_()
    words = r"pair: F_y is singular at 1 of 2 points; first at index \[1\]"
    p = op("pair")(a, b, adjoint=adjoint).p.sum()
    with pytest.raises(RuntimeError, match=words):
        torch.autograd.grad(p, a)
    p = op("pair")(a, b, adjoint=adjoint, on_failure="nan").p.sum()
    np.testing.assert_allclose(torch.autograd.grad(p, a)[0], [4 / 3, 0], rtol=1e-12)


def test_the_residual_is_an_operator_too(torch: Any, op: Any, inputs: Any) -> None:
    kepler, pair = op("kepler").residual, op("pair").residual
    M, e = inputs("kepler")
    E = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(kepler, (M, e, E), check_forward_ad=True)
    a, b = inputs("pair")
    p, q = (torch.rand(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b, p, q: pair(a, b, (p, q)), (a, b, p, q), check_forward_ad=True)
    (first,) = torch.autograd.grad(kepler(M, e, E).sum(), E, create_graph=True)
    with pytest.raises(
        NotImplementedError, match="kepler: second derivatives of the residual itself are not generated"
    ):
        torch.autograd.grad(first.sum(), e)


def test_initial_chooses_the_root_and_has_no_gradient(torch: Any, op: Any) -> None:
    x, start = torch.tensor([4.0], requires_grad=True), torch.tensor([-1.5], requires_grad=True)
    y = op("parab")(x, initial=start)
    assert y.tolist() == [-2]
    by_x, by_start = torch.autograd.grad(y.sum(), (x, start), allow_unused=True)
    assert by_x.tolist() == [-0.25]
    assert by_start is None
    assert not op("parab")(x.detach(), initial=start).requires_grad


def test_only_what_is_asked_for_is_differentiated(torch: Any, op: Any, inputs: Any) -> None:
    M, e = inputs("kepler")
    kepler = op("kepler")
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            assert not kepler(M, e).E.requires_grad
    with torch.inference_mode():
        made = torch.rand(3)
    assert kepler(made, 0.2).E.shape == (3,)
    adjoint = importlib.import_module("for_torch.kepler.torch_autograd").Adjoint
    asked = []
    original = adjoint.call
    adjoint.call = lambda *arguments: asked.append(arguments[5]) or original(*arguments)
    try:
        kepler(M, e.detach()).E.sum().backward()
    finally:
        adjoint.call = original
    assert asked == [[0]]
    assert M.grad is not None


def test_data_parallel_training_with_two_processes(folder: Path, tmp_path: Path) -> None:
    """Both processes step along the mean of their gradients: that of all data."""
    (tmp_path / "train.py").write_text(f"""
import sys
sys.path.insert(0, {str(folder)!r})
import torch
from for_torch.cuberoot import cuberoot

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    def forward(self, x):
        return cuberoot(self.scale * x)

def main(rank, place):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method="file://" + place, rank=rank, world_size=2)
    model = torch.nn.parallel.DistributedDataParallel(Model())
    x = torch.arange(1, 9, dtype=torch.float64)
    target = cuberoot(1.5 * x)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02)
    for _ in range(200):
        optimiser.zero_grad()
        ((model(x[rank::2]) - target[rank::2]) ** 2).mean().backward()
        optimiser.step()
    if rank == 0:
        print(model.module.scale.item())
    torch.distributed.destroy_process_group()

if __name__ == "__main__":
    torch.multiprocessing.spawn(main, (sys.argv[1],), nprocs=2)
""")
    command = [sys.executable, str(tmp_path / "train.py"), str(tmp_path / "place")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"})
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) == pytest.approx(1.5, rel=1e-6)


def test_two_residuals_of_one_name_and_two_copies_of_one(folder: Path, tmp_path: Path) -> None:
    """An edited residual, rebuilt while a notebook runs, is another operator; a copy is the same."""
    (tmp_path / "residuals").mkdir()
    edited = tmp_path / "residuals" / "ops.py"  # not where the copy would look for its own
    edited.write_text(RESIDUALS.replace("x**2 - y**3", "8 * x**2 - y**3"))
    build(edited, output=tmp_path / "edited", targets=("numpy", "torch"), only=("cuberoot",))
    shutil.copytree(folder / "for_torch", tmp_path / "copied")
    code = f"""
import sys; sys.path[:0] = [{str(folder)!r}, {str(tmp_path)!r}]
import torch
from for_torch.cuberoot import cuberoot as one
from edited.cuberoot import cuberoot as two
from copied.cuberoot import cuberoot as three
x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
print((two(x) / one(x)).item(), (three(x) / one(x)).item(), torch.autograd.grad(three(x), x)[0].item())
assert not {{"tensorflow", "jax"}} & sys.modules.keys()"""
    ratio, same, slope = map(float, run(code, tmp_path).split())
    assert (ratio, same, slope) == (pytest.approx(2), 1, pytest.approx(TABLE[1], rel=1e-12))


def test_the_library_asks_for_nothing_that_pytorch_2_10_lacks(folder: Path) -> None:
    """It is linked to PyTorch's stable interface alone: no C++ symbol of PyTorch is wanted."""
    if shutil.which("nm") is None:
        pytest.skip("there is no nm")
    library = folder / "for_torch" / "kepler" / "lib" / "libkepler_torch.so"
    names = subprocess.run(["nm", "-D", "--undefined-only", str(library)], capture_output=True, text=True).stdout
    assert "aoti_torch_get_dtype" in names
    assert "c10" not in names
    assert "2at6Tensor" not in names
