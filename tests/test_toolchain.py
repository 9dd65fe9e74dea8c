"""Finding compilers and frameworks: what is said when there is none, and that nothing is imported on the way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from building.fake import Fake, fake_compiler, use

from opgen.build import flags, processor
from opgen.build.cache import Cache, open_cache
from opgen.build.process import run
from opgen.build.targets import choose
from opgen.build.toolchain import Framework, find_compiler, find_tensorflow, find_torch, first_line
from opgen.errors import OpgenError, ToolchainError, UsageError


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = fake_compiler(tmp_path / "bin")
    use(made, tmp_path / "cache", monkeypatch)
    return made


# The compiler.


def test_no_compiler_at_all(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ToolchainError) as raised:
        find_compiler(open_cache())
    assert str(raised.value) == (
        "no C++ compiler was found: CXX is not set, and PATH has no c++ or g++; "
        "install g++ 9 or newer (apt-get install g++), or set CXX to a C++17 compiler"
    )
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/nonexistent/c++", "CXX names the compiler '/nonexistent/c++', which is not there or cannot be run; "),
        ("{folder}/text", "CXX names the compiler '{folder}/text', which is not there or cannot be run; "),
        ("'g++", 'CXX is "\'g++", which cannot be read: No closing quotation; '),
        ("true", "'true' does not answer --version as a compiler does; "),
        ("false", "'false' does not answer --version as a compiler does; "),
        ("{folder}/torn", "'{folder}/torn' cannot be started: Exec format error; "),
    ],
)
def test_wrong_compiler(value: str, said: str, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_text("not a program")
    torn = tmp_path / "torn"
    torn.write_bytes(b"\x7fELF")
    torn.chmod(0o755)
    if value in ("true", "false"):
        for name in ("true", "false"):
            script = fake.folder / name
            script.write_text(f"#!/bin/sh\nexit {int(name == 'false')}\n")
            script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake.folder}:/usr/bin:/bin")
    monkeypatch.setenv("CXX", value.format(folder=tmp_path))
    with pytest.raises(ToolchainError) as raised:
        find_compiler(open_cache())
    assert str(raised.value).startswith(said.format(folder=tmp_path))
    assert raised.value.advice


def test_compiler_with_arguments(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"env '{fake.program}' -m64")
    compiler = find_compiler(open_cache())
    assert compiler.command == ("env", str(fake.program), "-m64")
    assert compiler.version == "fake++ 1.0"
    assert compiler.identity.endswith("-m64 (fake++ 1.0)")


def test_compiler_on_path(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", f"{fake.folder}:/usr/bin:/bin")
    (fake.folder / "c++").symlink_to(fake.program)
    compiler = find_compiler(open_cache())
    assert compiler.command == ("c++",)
    assert compiler.path == str(fake.program.resolve())


def test_answers_are_remembered(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_compiler(open_cache())
    assert first.march == "native"
    assert not first.vector_library
    assert set(first.processor) <= {"avx2"}
    fake.forget()
    assert find_compiler(open_cache()) == first
    assert fake.calls() == ["--version"]
    monkeypatch.setenv("FAKE_VERSION", "2.0")
    second = find_compiler(open_cache())
    assert second.version == "fake++ 2.0"
    assert second.identity != first.identity
    assert len(fake.calls()) == 4


def test_processor_that_is_asked_for(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPGEN_MARCH", "x86-64-v3")
    compiler = find_compiler(open_cache())
    assert (compiler.march, compiler.processor) == ("x86-64-v3", ("avx2",))
    monkeypatch.setenv("OPGEN_MARCH", "nonsense")
    with pytest.raises(ToolchainError, match="refuses -march=nonsense, which OPGEN_MARCH asks for: error: bad value"):
        find_compiler(open_cache())


def test_processor_of_the_command_line_comes_first(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPGEN_MARCH", "nonsense")
    compiler = find_compiler(open_cache(), "x86-64-v3")
    assert (compiler.march, compiler.processor) == ("x86-64-v3", ("avx2",))
    monkeypatch.delenv("OPGEN_MARCH")
    with pytest.raises(ToolchainError, match="refuses -march=nonsense, which --march asks for: error: bad value"):
        find_compiler(open_cache(), "nonsense")


def test_compiler_without_native(fake: Fake) -> None:
    fake.program.write_text(fake.program.read_text().replace("nonsense", "native"))
    assert find_compiler(open_cache()).march == ""


def test_features_are_named_as_the_system_does() -> None:
    macros = "#define __AVX512F__ 1\n#define __AVX__ 1\n#define __LZCNT__ 1\n#define __AVX2 1\n// __FMA__\n"
    assert processor.features(macros) == ("abm", "avx", "avx512f")


def test_first_line_of_errors() -> None:
    assert first_line("In file included:\n a.cc:3:1: error: x\n a.cc:4:1: error: y\n") == "a.cc:3:1: error: x"
    assert first_line("ld: f.o: in function g:\nld: undefined reference to `h'\n") == "ld: undefined reference to `h'"
    assert first_line("Killed\n") == "Killed"
    assert first_line("\n") == "it said nothing"


def test_no_flag_changes_the_arithmetic_of_the_process() -> None:
    every = [flag for name in dir(flags) if name.isupper() for flag in getattr(flags, name)]
    for word in ("fast-math", "-Ofast", "-funsafe", "-ffinite", "-fassociative"):
        assert not any(word in flag for flag in every)


@pytest.mark.compiler
def test_real_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPGEN_MARCH", raising=False)
    compiler = find_compiler(Cache(tmp_path))
    assert compiler == find_compiler(Cache(tmp_path))
    assert Path(compiler.path).is_file()
    assert compiler.version
    assert set(compiler.processor) <= set(processor.present())
    (tmp_path / "f.cc").write_text('extern "C" double f(double x) { return 2 * x; }\n')
    for own in (flags.KERNEL, flags.TENSORFLOW, flags.ATEN):
        done = run([*compiler.command, *own, f"-march={compiler.march}", *flags.COMPILE, "f.cc", "-o", "f.o"], tmp_path)
        assert (done.code, done.output) == (0, "")
    extra = [flags.VECTOR_LIBRARY] if compiler.vector_library else []
    done = run([*compiler.command, *flags.LINK, "f.o", *extra, flags.MATHEMATICS, flags.LOADER, "-o", "f.so"], tmp_path)
    assert (done.code, done.output) == (0, "")


# The frameworks.


def tensorflow(site: Path, header: str = "", wheel: str | None = None) -> Path:
    folder = site / "tensorflow"
    public = folder / "include" / "tensorflow" / "core" / "public"
    public.mkdir(parents=True)
    (public / "version.h").write_text(header)
    (folder / "include" / "tensorflow" / "c").mkdir()
    (folder / "include" / "tensorflow" / "c" / "kernels.h").touch()
    (folder / "libtensorflow_framework.so.2").touch()
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    for name in (wheel, "tensorflow_estimator-9.9.dist-info", "tensorflow_io_gcs_filesystem-9.9.dist-info"):
        if name:
            (site / name).mkdir()
    return folder


def torch(site: Path, version: str = "2.13.0+cpu", abi: str = "") -> Path:
    folder = site / "torch"
    for file in ("include/ATen/core/Tensor.h", "lib/libtorch_cpu.so", "share/cmake/Torch/TorchConfig.cmake"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / "share/cmake/Torch/TorchConfig.cmake").write_text(abi)
    (folder / "version.py").write_text(f"__all__ = ['__version__']\n__version__ = '{version}'\n")
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    return folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, the only one."""
    folder = tmp_path / "site"
    folder.mkdir()
    kept = [entry for entry in sys.path if not (Path(entry) / "torch").is_dir() and "site-packages" not in entry]
    monkeypatch.setattr(sys, "path", [str(folder), *kept])
    for name in [name for name in sys.modules if name.partition(".")[0] in ("torch", "tensorflow")]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_frameworks_that_are_not_installed(site: Path) -> None:
    assert find_tensorflow() is None
    assert find_torch() is None


def test_tensorflow_by_its_headers(site: Path) -> None:
    header = "#define TF_MAJOR_VERSION 2\n#define TF_MINOR_VERSION 16\n#define TF_PATCH_VERSION 2\n"
    folder = tensorflow(site, header, "tensorflow-9.0.0.dist-info")
    assert find_tensorflow() == Framework("TensorFlow", "2.16.2", folder)


@pytest.mark.parametrize("name", ["tensorflow", "tensorflow_cpu", "tf_nightly"])
def test_tensorflow_by_its_wheel(name: str, site: Path) -> None:
    folder = tensorflow(site, wheel=f"{name}-2.21.0.dist-info")
    assert find_tensorflow() == Framework("TensorFlow", "2.21.0", folder)
    assert "tensorflow" not in sys.modules


def test_torch_by_its_version_file(site: Path) -> None:
    folder = torch(site)
    assert find_torch() == Framework("PyTorch", "2.13.0+cpu", folder)
    assert "torch" not in sys.modules


def test_torch_with_the_old_strings(site: Path) -> None:
    torch(site, "2.4.1", 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")')
    found = find_torch()
    assert found is not None
    assert found.flags == ("-D_GLIBCXX_USE_CXX11_ABI=0",)


def test_framework_without_headers_is_none(site: Path) -> None:
    (torch(site) / "include/ATen/core/Tensor.h").unlink()
    (tensorflow(site) / "libtensorflow_framework.so.2").unlink()
    assert find_torch() is None
    assert find_tensorflow() is None


def test_a_users_file_does_not_hide_a_framework(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = torch(site)
    (tmp_path / "torch.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    for here in ("", str(tmp_path)):
        monkeypatch.setattr(sys, "path", [here, *sys.path])
        found = find_torch()
        assert found is not None
        assert found.folder == folder


# Targets.


def test_targets() -> None:
    installed = {"tf": Framework("TensorFlow", "2.21.0", Path()), "jax": None}
    assert choose(None, {}) == ("numpy",)
    assert choose(None, installed) == ("numpy", "tf")
    assert choose(("tf",), installed) == choose(("tf", "numpy"), installed) == ("numpy", "tf")
    both = {**installed, "jax": Framework("JAX", "0.10.2", Path())}
    assert choose(None, both) == choose(("jax", "tf"), both) == ("numpy", "tf", "jax")


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (("jax",), ToolchainError, "target 'jax' needs JAX, which is not installed; pip install jax"),
        (("nunpy",), UsageError, "there is no target 'nunpy'; did you mean 'numpy'?"),
        (("tf",), ToolchainError, "target 'tf' needs TensorFlow, which is not installed; pip install tensorflow"),
    ],
)
def test_wrong_targets(asked: tuple[str, ...], error: type[OpgenError], said: str) -> None:
    with pytest.raises(error) as raised:
        choose(asked, {})
    assert str(raised.value) == said
