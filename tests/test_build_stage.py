"""Writing, planning, compiling and keeping: what a build does, what it leaves alone, and what it survives."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from building.fake import Fake, command, fake_compiler, use

from opgen import api
from opgen.build import digest, manifest
from opgen.build import plan as planning
from opgen.build.build import build as carry_out
from opgen.build.cache import Cache, open_cache
from opgen.build.plan import Plan, plan
from opgen.build.toolchain import Compiler, Framework, Toolchain
from opgen.errors import CompileError, OpgenError, ToolchainError, UsageError
from opgen.pipeline import Built, build
from opgen.render.tree import Tree
from opgen.write import copy, write, write_text

ROOT = Path(__file__).parent.parent
CUBEROOT = """from sympy import symbols
x, y = symbols("x y", positive=True)
residual = x**2 - y**3 / (1 + x)
"""
TWO = """import opgen
from sympy import symbols
x, y = symbols("x y")
square = opgen.Explicit({"s": x**2}, inputs=[x])
cube = opgen.Explicit({"c": x**3}, inputs=[x])
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = fake_compiler(tmp_path / "bin")
    use(made, tmp_path / "cache", monkeypatch)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def cuberoot(fake: Fake, tmp_path: Path) -> Path:
    file = tmp_path / "cuberoot.py"
    file.write_text(CUBEROOT)
    return file


def built(source: Path | str, **options: object) -> tuple[Built, ...]:
    return build(source, **{"targets": ("numpy",), **options})  # type: ignore[arg-type]


def reasons(source: Path | str, **options: object) -> tuple[str, ...]:
    (op,) = built(source, **options)
    return op.reasons


def stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


# Writing.


def tree(**files: str) -> Tree:
    return Tree("op", tuple(sorted((name.replace("__", "/") + ".txt", text) for name, text in files.items())))


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "op"
    assert write(tree(a="1", src__b="2"), folder).changed == ("a.txt", "src/b.txt")
    before = stamps(folder)
    assert write(tree(a="1", src__b="2"), folder) == write(tree(), folder)
    assert stamps(folder) == before
    assert write(tree(a="1", src__b="3"), folder).changed == ("src/b.txt",)
    assert (folder / "src/b.txt").read_text() == "3"
    assert sorted(path.name for path in folder.rglob("*")) == ["a.txt", "b.txt", "src"], "nothing is left aside"


def test_only_what_an_earlier_build_wrote_is_removed(tmp_path: Path) -> None:
    write(tree(a="1", b="2"), tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    done = write(tree(a="1"), tmp_path, earlier=["a.txt", "b.txt", "never.txt"])
    assert (done.changed, done.removed) == ((), ("b.txt",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "mine.txt"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1")
    (tmp_path / "a.txt").symlink_to("precious")
    write(tree(a="1"), tmp_path)
    assert not (tmp_path / "a.txt").is_symlink()
    (tmp_path / "lib.so").symlink_to("precious")
    (tmp_path / "made").write_text("2")
    assert copy(tmp_path / "made", tmp_path / "lib.so")
    assert not copy(tmp_path / "made", tmp_path / "lib.so")
    assert (tmp_path / "precious").read_text() == "1"


def test_python_never_runs_the_text_before(tmp_path: Path) -> None:
    # Within one second and with one length, bytecode of the old text passes for that of the new.
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import a; print(a.value)"
    for value in "123":
        write(Tree("op", (("a.py", f"value = {value}\n"),)), tmp_path)
        os.utime(tmp_path / "a.py", (1e9, 1e9))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                              env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"})  # fmt: skip
        assert done.stdout.strip() == value


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "op").write_text("a file")
    with pytest.raises(UsageError, match=r"'.*op/a.txt' cannot be written: .*; choose another folder with -o"):
        write(tree(a="1"), tmp_path / "op")


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(UsageError) as raised:
        write_text(tmp_path / "a", "1")
    assert str(raised.value) == f"'{tmp_path}/a' cannot be written: permission denied; choose another folder with -o"


# Plans.


def sources(op: str = "op", **changed: str) -> Tree:
    files = {
        "src/aten_adjoint.cc": '#include "opgen/aten_adjoint.h"\n',
        "src/kernel.cc": "#include <opgen/newton.h>\n",
        "src/tf_op.cc": "#include <opgen/tf_register.h>\n",
    }
    files.update((f"src/{name}.cc", text) for name, text in changed.items())
    return Tree(op, tuple(sorted(files.items())))


def tools(**changed: Framework | None) -> Toolchain:
    compiler = Compiler(("g++",), "/usr/bin/g++", "g++ 12", "native", "0", ("avx2",), True)
    frameworks = {"tensorflow": Framework("TensorFlow", "2.21.0", Path("/site/tensorflow")),
                  "torch": Framework("PyTorch", "2.13.0", Path("/site/torch"))}  # fmt: skip
    return Toolchain(compiler, **{**frameworks, **changed})


def keys(made: Plan) -> dict[str, str]:
    return {library.name: library.step.key for library in made.libraries}


def differing(one: Plan, other: Plan) -> list[str]:
    return [name.removeprefix("lib") for name, key in keys(one).items() if keys(other)[name] != key]


def test_which_libraries_are_planned() -> None:
    assert list(keys(plan(sources(), tools()))) == ["libop.so", "libop_tf.so", "libop_aten.so"]
    assert list(keys(plan(sources(), tools(torch=None)))) == ["libop.so", "libop_tf.so"]
    assert list(keys(plan(Tree("op", (("src/kernel.cc", ""),)), tools()))) == ["libop.so"]
    aten = plan(sources(), tools()).libraries[2]
    assert aten.texts == (("libop_aten.txt", "2.13.0\n/site/torch\n"),)
    assert aten.against == (("torch", "2.13.0"),)


def test_a_key_depends_on_what_the_result_depends_on() -> None:
    base = plan(sources(), tools())
    assert differing(base, plan(sources(), tools())) == []
    assert differing(base, plan(sources(kernel="// another\n"), tools())) == ["op.so", "op_tf.so"]
    assert differing(base, plan(sources(aten_adjoint=""), tools())) == ["op_aten.so"]
    newer = Framework("PyTorch", "2.14.0", Path("/site/torch"))
    assert differing(base, plan(sources(), tools(torch=newer))) == ["op_aten.so"]
    older = Framework("TensorFlow", "2.16.2", Path("/site/tensorflow"))
    assert differing(base, plan(sources(), tools(tensorflow=older))) == ["op_tf.so"]
    for change in ({"version": "g++ 13"}, {"path": "/opt/g++"}, {"target": "1"}, {"march": ""}):
        other = replace(tools(), compiler=replace(tools().compiler, **change))  # type: ignore[arg-type]
        assert len(differing(base, plan(sources(), other))) == 3


def test_a_key_depends_on_headers_through_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "opgen").mkdir()
    (tmp_path / "opgen" / "a.h").write_text('#include "opgen/b.h"\n')
    (tmp_path / "opgen" / "b.h").write_text("//\n")
    monkeypatch.setattr(digest, "INCLUDE", tmp_path)
    planning._header.cache_clear()
    source = sources(kernel="# include <opgen/a.h>\n")
    base = plan(source, tools())
    (tmp_path / "opgen" / "b.h").write_text("// changed\n")
    planning._header.cache_clear()
    after = plan(source, tools())
    assert differing(base, after) == ["op.so", "op_tf.so"]
    (tmp_path / "opgen" / "c.h").write_text("// not included\n")
    planning._header.cache_clear()
    assert differing(after, plan(source, tools())) == []
    planning._header.cache_clear()


def test_what_ops_share_is_compiled_once() -> None:
    def runtime(op: str) -> str:
        return plan(sources(op), tools()).libraries[2].step.inputs[1].key

    assert runtime("one") == runtime("other")


def test_keys_do_not_depend_on_the_hash_seed_or_the_folder(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'tests')!r}, {str(ROOT)!r}];"
        "import test_build_stage as t; print(t.keys(t.plan(t.sources(), t.tools())))"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder,
                       env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed, folder in (("1", tmp_path), ("2", ROOT))
    }  # fmt: skip
    assert len(outputs) == 1
    assert "libop.so" in outputs.pop()


# The cache.


def one_step(fake: Fake, text: str = "") -> Plan:
    compiler = Compiler((str(fake.program),), str(fake.program), "1", "", "0", (), False)
    return plan(Tree("op", (("src/kernel.cc", text),)), Toolchain(compiler, None, None))


def test_hit_and_miss(fake: Fake) -> None:
    cache = open_cache()
    told: list[str] = []
    made = carry_out([one_step(fake)], cache, told.append)
    assert told == ["compiling op: src/kernel.cc", "linking op: libop.so"]
    fake.forget()
    assert carry_out([one_step(fake)], cache, told.append) == made
    assert fake.calls() == []
    assert len(told) == 2
    assert carry_out([one_step(fake)], cache, told.append, fresh=True) == made
    assert len(fake.calls()) == 2
    record = json.loads((made[one_step(fake).libraries[0].step.key].parent / "build.json").read_text())
    assert record["what"] == "op: libop.so"
    assert str(fake.program) in record["command"]
    assert list((cache.root / "staging").iterdir()) == []


def test_the_commands_are_told_if_wanted(fake: Fake) -> None:
    told: list[str] = []
    carry_out([one_step(fake)], open_cache(), told.append, verbose=True)
    assert told[1].startswith(f"{fake.program} -std=c++17")
    assert f"-I{ROOT}/opgen/include src/kernel.cc -o kernel.o" in told[1]


def test_a_damaged_entry_is_made_again(fake: Fake) -> None:
    cache = open_cache()
    made = carry_out([one_step(fake)], cache, lambda line: None)
    library = made[one_step(fake).libraries[0].step.key]
    for damage in (lambda: library.write_text("torn"), library.unlink, (library.parent / "build.json").unlink):
        damage()
        assert carry_out([one_step(fake)], cache, lambda line: None)[library.parent.name].read_text().startswith("made")


def test_what_killed_builds_left_behind_is_removed(fake: Fake) -> None:
    cache = open_cache()
    key = one_step(fake).libraries[0].step.key
    left = cache.root / "staging" / f"{key}-killed"
    left.mkdir(parents=True)
    carry_out([one_step(fake)], cache, lambda line: None)
    assert not left.exists()


def test_waiting_for_a_lock(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    waits: list[float] = []
    with cache.lock("key", waits.append):
        assert not waits
        with (
            pytest.raises(ToolchainError, match="another process has held the lock"),
            cache.lock("key", waits.append, timeout=0.2),
        ):
            raise AssertionError("two have one lock")
    assert waits
    with cache.lock("key", waits.append, timeout=0):
        pass


def test_a_cache_that_cannot_be_written(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OPGEN_CACHE", str(tmp_path / "file" / "cache"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    cache = open_cache()
    assert cache.root.parent == temporary
    assert cache.root.stat().st_mode & 0o077 == 0
    assert carry_out([one_step(fake)], cache, lambda line: None)
    assert open_cache() == cache
    # What others may write to is no place for libraries.
    cache.root.chmod(0o777)
    assert open_cache() != cache


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPGEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert open_cache().root == tmp_path / "xdg" / "opgen"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_cache().root == tmp_path / "home" / ".cache" / "opgen"


def test_a_full_disk(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = open_cache()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(
        ToolchainError, match="cannot be written: no space left on device; make room or set OPGEN_CACHE"
    ):
        carry_out([one_step(fake)], cache, lambda line: None)


def test_a_compiler_that_fails(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "src/kernel.cc")
    with pytest.raises(CompileError) as raised:
        carry_out([one_step(fake)], open_cache(), lambda line: None)
    error = raised.value
    assert error.what == "op: src/kernel.cc does not compile: src/kernel.cc:3:5: error: no luck today"
    match = re.fullmatch(r"the full log is in (\S+)", error.advice)
    assert match is not None
    assert Path(match[1]).read_text() == error.log
    assert str(fake.program) in error.log
    assert "In function 'f'" in error.log
    assert error.exit_code == 4


def test_steps_run_at_the_same_time_and_failure_stops_them(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_DELAY", "30")
    slow = one_step(fake, "slow")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    quick = fake_compiler(fake.folder.parent / "quick")
    quick.program.write_text(
        quick.program.read_text().replace('[ -n "$FAKE_DELAY" ] && sleep "$FAKE_DELAY"', "sleep 0.5; exit 1")
    )
    start = time.monotonic()
    with pytest.raises(CompileError, match="does not compile: it said nothing"):
        carry_out([slow, one_step(quick)], open_cache(), lambda line: None)
    assert time.monotonic() - start < 10
    assert not running(int((fake.folder / "pid").read_text()))


def running(process: int) -> bool:
    for _ in range(50):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


# Whole builds.


def test_a_first_build(cuberoot: Path, fake: Fake) -> None:
    (op,) = built(cuberoot)
    assert (op.name, op.folder, op.reasons) == ("cuberoot", Path("generated/cuberoot"), ("it was not built before",))
    assert op.libraries == ("libcuberoot.so",)
    assert op.notes == ()
    record = json.loads((op.folder / "manifest.json").read_text())
    assert record["source"]["file"] == "../../cuberoot.py"
    assert record["kind"] == "pointwise"
    assert record["targets"] == ["numpy"]
    assert record["reasons"] == ["it was not built before"]
    assert set(record["files"]) >= {"__init__.py", "README.md", "test_cuberoot.py", "src/kernel.cc"}
    assert (op.folder / "lib" / ".gitignore").read_text() == "*\n"
    assert not (op.folder / "tf_op.py").exists()


def test_a_current_op_is_left_alone_quickly(cuberoot: Path, fake: Fake, tmp_path: Path) -> None:
    (first,) = built(cuberoot)
    fake.forget()
    before = stamps(tmp_path / "generated")
    done = subprocess.run(command(cuberoot), capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.splitlines() == ["built cuberoot []", "modules []"], "nothing slow is imported"
    assert stamps(tmp_path / "generated") == before
    assert fake.calls() == ["--version"]
    (again,) = built(cuberoot)
    assert (again.name, again.folder, again.libraries) == (first.name, first.folder, first.libraries)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def test_why_it_is_built_again(cuberoot: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    built(cuberoot)
    folder = Path("generated/cuberoot")
    cuberoot.write_text(CUBEROOT.replace("y**3", "y**5"))
    assert reasons(cuberoot) == ("cuberoot.py changed",)
    assert reasons(cuberoot) == ()
    monkeypatch.setenv("FAKE_VERSION", "2.0")
    path = fake.program.resolve()
    assert reasons(cuberoot) == (f"the compiler changed from {path} (fake++ 1.0) to {path} (fake++ 2.0)",)
    monkeypatch.setenv("OPGEN_MARCH", "x86-64-v3")
    assert reasons(cuberoot) == ("-march changed from native to x86-64-v3",)
    (folder / "lib" / "libcuberoot.so").unlink()
    assert reasons(cuberoot) == ("lib/libcuberoot.so is missing",)
    (folder / "lib" / "libcuberoot.so").write_text("torn")
    assert reasons(cuberoot) == ("lib/libcuberoot.so is not the one that was built",)
    text = (folder / "src" / "kernel.cc").read_text()
    (folder / "src" / "kernel.cc").write_text(text + "// mine\n")
    (folder / "README.md").unlink()
    assert reasons(cuberoot) == ("README.md is missing", "src/kernel.cc was edited by hand")
    assert (folder / "src" / "kernel.cc").read_text() == text
    (folder / "manifest.json").write_text("{}")
    assert reasons(cuberoot) == ("it was not built before",)
    assert reasons(cuberoot, force=True) == ("it was asked for with --force",)
    assert reasons(cuberoot) == ()


def test_an_opgen_that_changed(cuberoot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(cuberoot)
    monkeypatch.setattr(digest, "of_opgen", lambda: "another")
    # What it makes of the residual is the same, so there is nothing to do but to remember.
    before = stamps(Path("generated"))
    assert reasons(cuberoot) == ()
    changed = {path for path, stamp in stamps(Path("generated")).items() if before[path] != stamp}
    assert changed == {"generated/cuberoot/manifest.json"}
    rendering = importlib.import_module("opgen.render.render")
    monkeypatch.setattr(rendering, "banner_of", lambda program: ("Generated by opgen otherwise.",))
    monkeypatch.setattr(digest, "of_opgen", lambda: "yet another")
    assert reasons(cuberoot) == ("opgen's own code changed",)
    monkeypatch.setattr(rendering, "banner_of", lambda program: ("Generated by opgen 9.",))
    monkeypatch.setattr("opgen.build.current.__version__", "9")
    (reason,) = reasons(cuberoot)
    assert re.fullmatch(r"opgen changed from .* to 9", reason)


def test_frameworks_that_changed(cuberoot: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Framework | None] = {"tf": Framework("TensorFlow", "2.16.2", Path("/tf")), "torch": None}
    monkeypatch.setattr("opgen.pipeline.find_tensorflow", lambda: found["tf"])
    monkeypatch.setattr("opgen.pipeline.find_torch", lambda: found["torch"])
    monkeypatch.setattr("opgen.pipeline.find_jax", lambda: None)

    def made() -> Built:
        return build(cuberoot, targets=("tf",))[0]

    op = made()
    assert op.libraries == ("libcuberoot.so", "libcuberoot_tf.so")
    note = "its ATen adjoint was not built, because PyTorch is not installed (pip install torch)"
    assert op.notes == (note,) == made().notes
    found["tf"] = Framework("TensorFlow", "2.21.0", Path("/tf"))
    assert made().reasons == ("TensorFlow changed from 2.16.2 to 2.21.0",)
    found["torch"] = Framework("PyTorch", "2.13.0", Path("/torch"))
    op = made()
    assert op.reasons == ("PyTorch 2.13.0 was installed",)
    assert op.notes == ()
    assert (op.folder / "lib/libcuberoot_aten.txt").read_text() == "2.13.0\n/torch\n"
    found["torch"] = None
    assert made().reasons == ("PyTorch 2.13.0 is no longer installed",)
    assert sorted(path.name for path in (op.folder / "lib").iterdir()) == [
        ".gitignore", "libcuberoot.so", "libcuberoot_tf.so"
    ]  # fmt: skip
    assert reasons(cuberoot) == ("the targets changed from numpy, tf to numpy",)
    assert not (op.folder / "tf_op.py").exists()
    assert not (op.folder / "lib/libcuberoot_tf.so").exists()
    found["tf"] = None
    assert build(cuberoot)[0].reasons == (), "what is not used is not looked at"


def test_a_comment_is_no_reason(cuberoot: Path, fake: Fake) -> None:
    built(cuberoot)
    before = stamps(Path("generated"))
    fake.forget()
    cuberoot.write_text(CUBEROOT + "# a comment\n")
    assert reasons(cuberoot) == ()
    assert fake.compiled() == []
    changed = {path for path, stamp in stamps(Path("generated")).items() if before[path] != stamp}
    assert changed == {"generated/cuberoot/manifest.json"}


def test_a_file_that_is_imported(cuberoot: Path, tmp_path: Path) -> None:
    (tmp_path / "numbers_of_mine.py").write_text("power = 3\n")
    cuberoot.write_text("from numbers_of_mine import power\n" + CUBEROOT.replace("y**3", "y**power"))
    built(cuberoot)
    assert reasons(cuberoot) == ()
    (tmp_path / "numbers_of_mine.py").write_text("power = 5\n")
    assert reasons(cuberoot) == ("numbers_of_mine.py, which cuberoot.py imports, changed",)


def test_several_ops_in_a_file(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "powers.py"
    file.write_text(TWO)
    assert [op.name for op in built(file)] == ["square", "cube"]
    assert [op.reasons for op in built(file)] == [(), ()]
    file.write_text(TWO.replace("x**3", "x**5"))
    assert {op.name: op.reasons for op in built(file)} == {"square": (), "cube": ("powers.py changed",)}
    (tmp_path / "generated" / "square" / "manifest.json").unlink()
    assert {op.name: op.reasons for op in built(file)} == {"square": ("it was not built before",), "cube": ()}
    file.write_text(TWO.replace("cube = ", "fifth = "))
    square, fifth = built(file)
    assert fifth.name == "fifth"
    assert fifth.notes == ()
    left = f"'generated/cube' is left from an operator that {file} no longer defines (opgen clean cube)"
    assert square.notes == (left,)
    assert (tmp_path / "generated/cube/src/kernel.cc").exists()
    assert [op.name for op in built(file, only=("fifth",))] == ["fifth"]
    assert [op.name for op in built(file, only=("fifth",), force=True)] == ["fifth"]
    with pytest.raises(UsageError, match=r"there is no operator 'fift' in .*powers.py; did you mean 'fifth'?"):
        built(file, only=("fift",))


def test_formulas(fake: Fake) -> None:
    (op,) = built("x²-y³/(1+x)", text=True, name="root")
    assert op.folder == Path("generated/root")
    assert reasons("x²-y³/(1+x)", text=True, name="root") == ()
    assert reasons("x²-y⁵", text=True, name="root") == ("the formula changed from 'x²-y³/(1+x)'",)
    assert reasons("x²-y⁵", text=True, name="root", unknown="x") == ("the unknown changed from y to x",)
    with pytest.raises(UsageError, match="a formula has no name; give its operator one with --name"):
        built("x-y", text=True)


def test_a_name_of_its_own(cuberoot: Path) -> None:
    built(cuberoot)
    (op,) = built(cuberoot, name="other")
    assert op.name == "other"
    assert reasons(cuberoot) == ()
    assert reasons(cuberoot, name="other") == ()


def test_files_of_others_are_never_replaced(cuberoot: Path, tmp_path: Path) -> None:
    mine = tmp_path / "generated" / "cuberoot"
    mine.mkdir(parents=True)
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="'generated/cuberoot' holds files that opgen did not write; choose another"):
        built(cuberoot)
    (mine / "thesis.tex").unlink()
    built(cuberoot)
    # Sources are kept under version control, records are not.
    (mine / "manifest.json").unlink()
    assert reasons(cuberoot) == ("it was not built before",)


def test_two_files_and_one_name(cuberoot: Path, tmp_path: Path) -> None:
    built(cuberoot)
    other = tmp_path / "elsewhere" / "cuberoot.py"
    other.parent.mkdir()
    other.write_text(CUBEROOT)
    said = f"operator 'cuberoot' of '{other}' would replace the one of '{cuberoot}' in 'generated/cuberoot'; choose"
    with pytest.raises(UsageError, match=re.escape(said)):
        built(other)
    with pytest.raises(UsageError, match="operator 'cuberoot' of this formula would replace the one of"):
        built("x-y", text=True, name="cuberoot")
    # A file that was moved is the same file.
    cuberoot.unlink()
    assert reasons(other) == ()
    assert reasons(other) == ()


def test_a_build_that_fails_leaves_the_op_as_it_was(
    cuberoot: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(cuberoot)
    before = stamps(Path("generated"))
    cuberoot.write_text(CUBEROOT.replace("y**3", "y**5"))
    monkeypatch.setenv("FAKE_FAIL", "src/kernel.cc")
    with pytest.raises(CompileError, match=r"cuberoot: src/kernel.cc does not compile"):
        built(cuberoot)
    cuberoot.write_text("residual = 1 +")
    with pytest.raises(OpgenError):
        built(cuberoot)
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    cuberoot.write_text(CUBEROOT.replace("y**3", "y**7"))
    with pytest.raises(ToolchainError, match="CXX names the compiler"):
        built(cuberoot)
    assert stamps(Path("generated")) == before


def test_without_a_compiler_a_current_op_is_current(cuberoot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(cuberoot)
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    assert reasons(cuberoot) == ()
    with pytest.raises(ToolchainError):
        built(cuberoot, force=True)
    with pytest.raises(OpgenError, match="there is no file") as raised:
        built(Path("absent.py"))
    assert raised.value.exit_code == 2


def test_an_output_that_is_a_file(cuberoot: Path, tmp_path: Path) -> None:
    (tmp_path / "generated").write_text("")
    with pytest.raises(UsageError, match="'generated' is not a folder; choose another with -o"):
        built(cuberoot)


def test_a_record_cannot_lead_out_of_its_package(cuberoot: Path, tmp_path: Path) -> None:
    built(cuberoot)
    file = tmp_path / "generated/cuberoot/manifest.json"
    record = json.loads(file.read_text())
    for path in ("../../cuberoot.py", "/etc/passwd", ""):
        file.write_text(json.dumps({**record, "files": {path: "0"}}))
        assert manifest.read(file.parent) is None
    assert reasons(cuberoot) == ("it was not built before",)
    assert cuberoot.exists()


def test_a_record_survives_reading_and_writing(cuberoot: Path, tmp_path: Path) -> None:
    built(cuberoot)
    folder = tmp_path / "generated/cuberoot"
    record = manifest.read(folder)
    assert record is not None
    assert record.source.file == cuberoot
    assert manifest.to_json(record, folder) == (folder / "manifest.json").read_text()
    # A project can be moved.
    (tmp_path / "moved").mkdir()
    for name in ("cuberoot.py", "generated"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    assert reasons(tmp_path / "moved/cuberoot.py", output=tmp_path / "moved/generated") == ()


# Several processes, and their deaths.


def start(file: Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**more)
    )


def wait_for(path: Path) -> None:
    for _ in range(200):
        if path.exists() and path.read_text().strip():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def test_two_processes_compile_once(cuberoot: Path, fake: Fake) -> None:
    both = [start(cuberoot, FAKE_DELAY="1.5") for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all("built cuberoot" in output for output in outputs)
    assert len(fake.compiled()) == 2, "one object, one library"
    assert sum("waiting for another build of cuberoot: src/kernel.cc" in output for output in outputs) == 1


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_killed(
    kill: signal.Signals, cuberoot: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(cuberoot, FAKE_DELAY="30")
    wait_for(fake.folder / "pid")
    compiler = int((fake.folder / "pid").read_text())
    process.send_signal(kill)
    process.communicate(timeout=60)
    assert process.returncode != 0
    if kill is signal.SIGINT:
        assert not running(compiler), "the compiler ends with who asked for it"
    else:
        os.killpg(compiler, signal.SIGKILL)
    assert not Path("generated").exists()
    start_again = time.monotonic()
    assert reasons(cuberoot) == ("it was not built before",)
    assert time.monotonic() - start_again < 10, "no lock outlives its holder"
    assert list((open_cache().root / "staging").iterdir()) == []


def test_threads_of_one_process(cuberoot: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_DELAY", "0.3")
    results: list[tuple[Built, ...]] = []
    threads = [threading.Thread(target=lambda: results.append(built(cuberoot))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert len(fake.compiled()) == 2


# With a real compiler.


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("OPGEN_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "cuberoot.py"
    file.write_text(CUBEROOT)
    return file


@pytest.mark.compiler
def test_load_gives_what_the_file_says_now(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    x = np.array([1.0, 2.0])
    first = api.load(real, targets=["numpy"])
    np.testing.assert_allclose(first(x), (x**2 * (1 + x)) ** (1 / 3), rtol=1e-14)
    assert api.load(str(real), targets=("numpy",)) is first
    record = json.loads(Path("generated/cuberoot/manifest.json").read_text())
    before = Path("generated/cuberoot/lib/libcuberoot.so").read_bytes()

    # A process that has the library open goes on with it, and a new one is really loaded.
    real.write_text(CUBEROOT.replace("y**3", "y**5"))
    second = api.load(real, targets=["numpy"])
    np.testing.assert_allclose(second(x), (x**2 * (1 + x)) ** (1 / 5), rtol=1e-14)
    np.testing.assert_allclose(first(x), (x**2 * (1 + x)) ** (1 / 3), rtol=1e-14)

    # A real compiler that really fails leaves the second; nothing is compiled to come back to the first.
    wrapper = real.parent / "broken++"
    wrapper.write_text(
        '#!/bin/sh\ncase "$*" in *src/kernel.cc*) exec c++ -include absent.h "$@";; esac\nexec c++ "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("CXX", str(wrapper))
    with pytest.raises(CompileError, match=r"fatal error: absent.h: No such file or directory"):
        api.load(real, targets=["numpy"])
    monkeypatch.delenv("CXX")
    assert api.load(real, targets=["numpy"]) is second
    real.write_text(CUBEROOT)
    assert api.load(real, targets=["numpy"]) is first
    assert Path("generated/cuberoot/lib/libcuberoot.so").read_bytes() == before
    after = json.loads(Path("generated/cuberoot/manifest.json").read_text())
    assert after["libraries"] == record["libraries"]


@pytest.mark.compiler
def test_load_gives_several_by_name(real: Path) -> None:
    np = pytest.importorskip("numpy")
    real.write_text(TWO)
    both = api.load(real, targets=["numpy"])
    assert both._fields == ("square", "cube")
    assert np.ravel(both.square(np.array([3.0])))[0] == 9
    assert np.ravel(both.cube(np.array([3.0])))[0] == 27
