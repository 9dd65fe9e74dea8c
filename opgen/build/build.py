"""Run the steps of plans: at the same time where they can be, and only those whose result is not there yet."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from opgen.build.cache import Cache
from opgen.build.digest import PACKAGE as OPGEN
from opgen.build.plan import PACKAGE, Plan, Step
from opgen.build.process import Finished, Runner
from opgen.build.toolchain import first_line
from opgen.errors import CompileError

Progress = Callable[[str], None]


def build(
    plans: Iterable[Plan], cache: Cache, progress: Progress, *, fresh: bool = False, verbose: bool = False
) -> dict[str, Path]:
    """Make what is not in the cache yet, and return the path of every step's artifact under the step's key.

    Args:
        plans: What to make.
        cache: Where it is kept.
        progress: Told of each command, from several threads.
        fresh: Make everything, also what is in the cache.
        verbose: Tell the commands too.

    Raises:
        CompileError: The compiler refused something; its words are kept in the cache.
        ToolchainError: The compiler or the cache cannot be used.
    """
    waiting = _steps(plans)
    made: dict[str, Path] = {}
    for step in waiting:
        if not fresh and (found := cache.find(step.key, step.output)):
            made[step.key] = found
    waiting = [step for step in waiting if step.key not in made]
    if not waiting:
        return made
    runner = Runner()
    maker = _Maker(cache, runner, progress, fresh, verbose)
    running: dict[Future[Path], Step] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            while waiting or running:
                ready = [step for step in waiting if all(other.key in made for other in step.inputs)]
                for step in ready:
                    waiting.remove(step)
                    running[pool.submit(maker.make, step, dict(made))] = step
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    made[running.pop(future).key] = future.result()
        except BaseException:
            # Also when the user interrupts: no compiler runs on without anyone to use what it makes.
            pool.shutdown(wait=False, cancel_futures=True)
            runner.stop()
            raise
    return made


def _steps(plans: Iterable[Plan]) -> list[Step]:
    """Return every step once, each after those that it needs."""
    found: dict[str, Step] = {}

    def visit(step: Step) -> None:
        for other in step.inputs:
            visit(other)
        found.setdefault(step.key, step)

    for plan in plans:
        for library in plan.libraries:
            visit(library.step)
    return list(found.values())


class _Maker:
    def __init__(self, cache: Cache, runner: Runner, progress: Progress, fresh: bool, verbose: bool) -> None:
        self.cache, self.runner, self.progress = cache, runner, progress
        self.fresh, self.verbose = fresh, verbose

    def make(self, step: Step, made: Mapping[str, Path]) -> Path:
        """Make one step's artifact, or take it from a process that was faster."""
        title = f"{step.op}: {step.label}"
        told = False

        def waiting(seconds: float) -> None:
            nonlocal told
            if self.runner.stopped:
                raise _stopped(step)
            if seconds > 0.5 and not told:
                told = True
                self.progress(f"waiting for another build of {title}")

        with self.cache.lock(step.key, waiting):
            if not self.fresh and (found := self.cache.find(step.key, step.output)):
                return found
            self.progress(f"{'compiling' if step.files else 'linking'} {title}")
            with self.cache.aside(step.key) as folder:
                for path, text in step.files:
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_text(text, encoding="utf-8")
                command = [_argument(word, made) for word in step.command]
                if self.verbose:
                    self.progress(shlex.join(command))
                done = self.runner.run(command, folder)
                if done.code != 0 or not (folder / step.output).is_file():
                    raise self.refused(step, command, done)
                record = {
                    "what": title,
                    "key": step.key,
                    "recipe": step.recipe,
                    "command": shlex.join(command),
                    "seconds": round(done.seconds, 3),
                    "warnings": done.output.splitlines(),
                }
                return self.cache.publish(step.key, folder, step.output, record)

    def refused(self, step: Step, command: list[str], done: Finished) -> CompileError:
        if self.runner.stopped:
            return _stopped(step)
        log = f"$ {shlex.join(command)}\n{done.output}\n(exit status {done.code})\n"
        path = self.cache.keep_log(step.key, log)
        if done.code < 0:
            what = f"{step.op}: the compiler was ended by signal {-done.code} at {step.label}"
            return CompileError(what, f"is there enough memory? The full log is in {path}", log)
        verb = "compile" if step.files else "link"
        what = f"{step.op}: {step.label} does not {verb}: {first_line(done.output)}"
        return CompileError(what, f"the full log is in {path}", log)


def _stopped(step: Step) -> CompileError:
    """Say what nobody reads: the reason for which the other steps were stopped is what is told."""
    return CompileError(f"{step.op}: {step.label} was stopped")


def _argument(word: str, made: Mapping[str, Path]) -> str:
    key = word[1:-1]
    return str(made[key]) if key in made else word.replace(PACKAGE, str(OPGEN))
