"""Which commands make the libraries of an operator, and the content keys of what they make."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opgen import __version__
from opgen.build import digest, flags
from opgen.build.toolchain import Framework, Toolchain, march_flags

if TYPE_CHECKING:
    from opgen.render.tree import Tree

# Stands in commands for opgen's own folder, which lies elsewhere on another machine.
PACKAGE = "{opgen}"
# What a kernel includes whose Jacobian is a stencil.
STENCIL = "#include <opgen/coupled/stencil.h>"


@dataclass(frozen=True)
class Step:
    """One command and what it makes.

    Attributes:
        label: What a message calls it.
        op: The operator that it is for; not part of the key.
        command: Its arguments, in which artifacts of earlier steps stand as `reference` and opgen's folder as PACKAGE.
        output: Name of the file that it makes.
        files: Path and text of each file that it reads from the folder it runs in.
        headers: Path and digest of each of opgen's headers that these include.
        inputs: Earlier steps.
        versions: Name and version of each tool and framework that the result depends on.
    """

    label: str
    op: str
    command: tuple[str, ...]
    output: str
    files: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    inputs: tuple[Step, ...]
    versions: tuple[tuple[str, str], ...]

    @cached_property
    def key(self) -> str:
        """Return the digest of all that the result depends on."""
        return digest.of_json(self.recipe)

    @property
    def reference(self) -> str:
        """Return what stands for this step's artifact in the commands of later ones."""
        return f"{{{self.key}}}"

    @property
    def recipe(self) -> dict[str, Any]:
        """Return all that the result depends on, readably."""
        return {
            "opgen": __version__,
            "command": list(self.command),
            "output": self.output,
            "files": {path: digest.of_text(text) for path, text in self.files},
            "headers": dict(self.headers),
            "inputs": {step.output: step.key for step in self.inputs},
            "versions": dict(self.versions),
        }


@dataclass(frozen=True)
class Library:
    """A library of a package.

    Attributes:
        name: File in the package's lib folder.
        step: What makes it.
        against: Name and version of each framework that it was linked against.
        texts: Further files beside it, name and text.
    """

    name: str
    step: Step
    against: tuple[tuple[str, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Plan:
    """How to make the libraries of one operator."""

    op: str
    libraries: tuple[Library, ...]


def plan(tree: Tree, tools: Toolchain) -> Plan:
    """Plan the libraries for which a tree holds sources."""
    return _Planner(tree, tools).plan()


class _Planner:
    def __init__(self, tree: Tree, tools: Toolchain) -> None:
        self.tree, self.tools = tree, tools
        self.compiler = tools.compiler
        vector = (flags.VECTOR_LIBRARY,) if tools.compiler.vector_library else ()
        self.mathematics = (*vector, flags.MATHEMATICS)

    def plan(self) -> Plan:
        op, tensorflow, torch = self.tree.op, self.tools.tensorflow, self.tools.torch
        jax = self.tools.jax
        kernel = self.kernel()
        libraries = [Library(f"lib{op}.so", self.link(f"lib{op}.so", kernel, self.mathematics))]
        if tensorflow is not None and "src/tf_op.cc" in self.tree:
            libraries.append(self.tensorflow(kernel, tensorflow))
        if torch is not None and "src/torch_op.cc" in self.tree:
            libraries.append(self.torch(kernel, torch))
        if jax is not None and "src/xla_ffi.cc" in self.tree:
            libraries.append(self.jax(kernel, jax))
        if torch is not None and "src/aten_adjoint.cc" in self.tree:
            libraries.append(self.aten(torch))
        return Plan(op, tuple(libraries))

    def kernel(self) -> tuple[Step, ...]:
        """Compile the kernel and, for operators on grids, the sparse factorisations that it falls back to."""
        text, eigen = self.tree["src/kernel.cc"], self.tools.eigen
        if STENCIL not in text or eigen is None:
            return (self.compile("src/kernel.cc", text, flags.KERNEL),)
        source = (digest.RUNTIME / "sparse_runtime.cc").read_text(encoding="utf-8")
        own = (*flags.SPARSE, "-isystem", str(eigen.folder))
        kernel = self.compile("src/kernel.cc", text, (*flags.KERNEL, flags.WITH_SPARSE))
        return kernel, self.compile("sparse_runtime.cc", source, own, eigen)

    def tensorflow(self, kernel: tuple[Step, ...], tensorflow: Framework) -> Library:
        name = f"lib{self.tree.op}_tf.so"
        own = (*flags.TENSORFLOW, "-isystem", str(tensorflow.folder / "include"))
        adapter = self.compile("src/tf_op.cc", self.tree["src/tf_op.cc"], own, tensorflow)
        # Without naming the library TensorFlow 2.16 does not find its own TF_NewStatus.
        link = (f"-L{tensorflow.folder}", "-l:libtensorflow_framework.so.2", *self.mathematics, flags.LOADER)
        step = self.link(name, (adapter, *kernel), link, tensorflow)
        return Library(name, step, (("tensorflow", tensorflow.version),))

    def torch(self, kernel: tuple[Step, ...], torch: Framework) -> Library:
        name = f"lib{self.tree.op}_torch.so"
        own = (*flags.TORCH, *torch.flags, "-isystem", str(torch.folder / "include"))
        adapter = self.compile("src/torch_op.cc", self.tree["src/torch_op.cc"], own, torch)
        # No rpath: whoever loads it has imported torch.
        link = (f"-L{torch.folder / 'lib'}", "-ltorch_cpu", *self.mathematics, flags.LOADER)
        step = self.link(name, (adapter, *kernel), link, torch)
        return Library(name, step, (("torch", torch.version),))

    def jax(self, kernel: tuple[Step, ...], jax: Framework) -> Library:
        name = f"lib{self.tree.op}_jax.so"
        own = (*flags.JAX, "-isystem", str(jax.folder / "include"))
        adapter = self.compile("src/xla_ffi.cc", self.tree["src/xla_ffi.cc"], own, jax)
        # The FFI is headers only: nothing of jaxlib is linked.
        step = self.link(name, (adapter, *kernel), (*self.mathematics, flags.LOADER), jax)
        return Library(name, step, (("jaxlib", jax.version),))

    def aten(self, torch: Framework) -> Library:
        name = f"lib{self.tree.op}_aten"
        include = torch.folder / "include"
        places = (include, include / "torch" / "csrc" / "api" / "include")
        own = (*flags.ATEN, *torch.flags, *(word for place in places for word in ("-isystem", str(place))))
        residual = self.compile("src/aten_adjoint.cc", self.tree["src/aten_adjoint.cc"], own, torch)
        text = (digest.RUNTIME / "aten_runtime.cc").read_text(encoding="utf-8")
        runtime = self.compile("aten_runtime.cc", text, own, torch)
        # No rpath: the adapter loads torch's libraries first, from where torch lies then.
        link = (f"-L{torch.folder / 'lib'}", "-ltorch_cpu", "-lc10")
        step = self.link(f"{name}.so", (residual, runtime), link, torch)
        stamp = (f"{name}.txt", f"{torch.version}\n{torch.folder}\n")
        return Library(f"{name}.so", step, (("torch", torch.version),), (stamp,))

    def compile(self, path: str, text: str, own: tuple[str, ...], framework: Framework | None = None) -> Step:
        output = Path(path).stem + ".o"
        march = march_flags(self.compiler.march)
        include = f"-I{PACKAGE}/include"
        command = (*self.compiler.command, *own, *march, *flags.COMPILE, include, path, "-o", output)
        headers = included(text)
        return Step(path, self.tree.op, command, output, ((path, text),), headers, (), self.versions(framework))

    def link(
        self, name: str, objects: tuple[Step, ...], own: tuple[str, ...], against: Framework | None = None
    ) -> Step:
        references = (step.reference for step in objects)
        command = (*self.compiler.command, *flags.LINK, *references, *own, "-o", name)
        return Step(name, self.tree.op, command, name, (), (), objects, self.versions(against))

    def versions(self, framework: Framework | None) -> tuple[tuple[str, str], ...]:
        tools = (("compiler", self.compiler.identity), ("target", self.compiler.target))
        return (*tools, *(((framework.name, framework.version),) if framework else ()))


def included(text: str) -> tuple[tuple[str, str], ...]:
    """Return path and digest of each of opgen's headers that a source includes, directly or through others."""
    found: dict[str, str] = {}
    names = _names(text)
    while names:
        name = names.pop()
        if name not in found:
            found[name], inner = _header(name)
            names += inner
    return tuple(sorted(found.items()))


@cache
def _header(name: str) -> tuple[str, tuple[str, ...]]:
    try:
        text = (digest.INCLUDE / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return "missing", ()  # the compiler says so better
    return digest.of_text(text), tuple(_names(text))


def _names(text: str) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"](opgen/[^>"]+)[>"]', text, re.MULTILINE)
