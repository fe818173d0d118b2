"""The suite as asv_runner finds and runs it, and what its classes declare for the check. Judges nothing."""

from __future__ import annotations

import cProfile
import importlib
import importlib.metadata
import inspect
import math
import os
import pickle
import pkgutil
import platform
import random
import shutil
import sqlite3
import statistics
import sys
import time
import traceback
from contextlib import redirect_stderr, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asv_runner._aux import update_sys_path
from asv_runner.benchmarks.mark import SkipNotImplemented
from asv_runner.discovery import disc_benchmarks, get_benchmark_from_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

Sample = dict[str, Any]

# The same for base and head, and another for each pair of samplers.
SEED = int(os.environ.get("PYTHONHASHSEED", "0").replace("random", "0"))

# The sampler is started in a folder of it.
CHECKS_FOLDER = os.path.dirname(os.getcwd())

# Seconds for which a profiled benchmark is called again and again.
PROFILED = 0.3


def end_of(text: str) -> str:
    """Return the last lines, without the check's own folder, which has another name each time."""
    return "\n".join(text.replace(f"{CHECKS_FOLDER}/", "").rstrip().splitlines()[-8:])


class Suite:
    """The benchmarks of a folder. Importing all of them may take long, so each module is loaded when it is needed."""

    def __init__(self, root: str) -> None:
        self.root = root
        update_sys_path(root)

    def load(self, module: str) -> str:
        """Import a module, and draw the same numbers in it on both sides; return why it cannot be imported."""
        random.seed(SEED)  # for the graphs, or whatever a suite makes
        try:
            importlib.import_module(module)
        except BaseException:
            return end_of(traceback.format_exc())
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(SEED)
        return ""

    def _broken(self) -> dict[str, str]:
        """Import every module; return why, of those that cannot be imported."""
        broken = {}
        names = [os.path.basename(self.root)]
        while names:
            name = names.pop()
            if error := self.load(name):
                broken[name] = error
            else:
                path = getattr(sys.modules[name], "__path__", ())
                names += [one.name for one in pkgutil.iter_modules(path, f"{name}.")]
        return broken

    def identity(self) -> Sample:
        """Return what is measured, with what, and which benchmarks there are, as asv finds them and as they declare."""
        attributes = ("name", "type", "unit", "version", "params", "timeout", "setup_cache_key")
        broken = self._broken()
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # asv_runner says again what is broken
            found = list(disc_benchmarks(self.root, ignore_import_errors=True))
        return {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "installed": dict(installed()),
            "broken": broken,
            "benchmarks": [
                {**{name: getattr(one, name, None) for name in attributes}, "module": one._attr_sources[-1].__name__}
                for one in found
            ],
            "declared": list(self.declared()),
        }

    def declared(self) -> Iterator[Sample]:
        """Give the classes that say how they want to be sampled."""
        package = os.path.basename(self.root)
        for module_name in sorted(name for name in sys.modules if name.startswith(f"{package}.")):
            for name, kind in vars(sys.modules[module_name]).items():
                samples = getattr(kind, "check_samples", None) if inspect.isclass(kind) else None
                if samples and not name.startswith("_") and kind.__module__ == module_name:
                    rules = getattr(kind, "check_rules", ())
                    yield {
                        "name": f"{module_name[len(package) + 1 :]}.{name}",
                        "module": module_name,
                        "samples": samples,
                        "rules": rules,
                    }

    def declared_sample(
        self, benchmark: str, method: str, parameters: list[Any], named: dict[str, Any]
    ) -> Sample | Generator[None, None, Sample]:
        """Return what a class's own method of sampling returns for these parameters."""
        module, _, name = benchmark.rpartition(".")
        kind = getattr(importlib.import_module(f"{os.path.basename(self.root)}.{module}"), name)
        sample: Sample | Generator[None, None, Sample] = getattr(kind(), method)(*parameters, **named)
        return sample

    def run(
        self, benchmark: str, index: int | None, options: dict[str, Any], folder: str = "", trace: bool = False
    ) -> Sample:
        """Run a benchmark once, as asv does; with ``trace`` say which files were executed.

        folder: the name of a folder that runs share, as all of a class do that has a ``setup_cache``.
        """
        one = self._prepared(benchmark, index, options, folder)
        profile = cProfile.Profile()
        try:
            result = profile.runcall(one.do_run) if trace else one.do_run()
        except SkipNotImplemented:
            raise
        except NotImplementedError as error:  # which asv takes for a failure, outside of setup
            raise RuntimeError(f"NotImplementedError: {error}") from error
        finally:
            one.do_teardown()
        sample: Sample = _time(result) if one.type == "time" else {"tracked": _number(result)}
        if trace:
            sample["files"] = sorted({file for file, _ in map(_where, profile.getstats()) if os.path.isabs(file)})
        return sample

    def profile(self, benchmark: str, index: int | None) -> Sample:
        """Return the seconds that a call spends in each function itself, by where the function is."""
        one = self._prepared(benchmark, index, {"number": 1}, "")
        profile, calls = cProfile.Profile(), 0
        try:
            until = time.monotonic() + PROFILED
            while not calls or time.monotonic() < until:
                if calls:
                    one.do_teardown()
                    one.do_setup()
                profile.runcall(one.func, *one._build_params())
                calls += 1
        finally:
            one.do_teardown()
        seconds: dict[str, float] = {}
        for entry in profile.getstats():
            file, name = _where(entry)
            where = f"{_short(file)}:{name}" if file else name
            seconds[where] = seconds.get(where, 0.0) + entry.inlinetime / calls
        return {"functions": seconds}

    def _prepared(self, benchmark: str, index: int | None, options: dict[str, Any], folder: str) -> Any:
        """Return asv's benchmark, set up, in a folder of this sample's own that has what ``setup_cache`` left."""
        name = benchmark if index is None else f"{benchmark}-{index}"
        one = get_benchmark_from_name(self.root, name, extra_params=options)
        work = f"work-{os.environ['PR_CHECK_MARK']}-{folder or os.getpid()}"
        cache = None
        if one.setup_cache_key is not None:
            kept = f"cache-{os.environ['PR_CHECK_MARK']}-{sha256(one.setup_cache_key.encode()).hexdigest()[:12]}"
            cache = _cache(one, kept)
            if not os.path.isdir(work):
                shutil.copytree(kept, work)
        os.makedirs(work, exist_ok=True)
        os.chdir(work)
        one.set_cache(cache)
        if one.do_setup():
            one.do_teardown()
            raise NotImplementedError("its setup skips these parameters")
        return one


def _cache(one: Any, kept: str) -> Any:
    """Return what ``setup_cache`` returned: run once for each side, in a folder that is copied for each sample."""
    if not os.path.isdir(kept):
        here, making = os.getcwd(), f"{kept}-{os.getpid()}"
        os.mkdir(making)
        os.chdir(making)
        with open("cache.pickle", "wb") as file:
            pickle.dump(one.do_setup_cache(), file)
        os.chdir(here)
        os.rename(making, kept)
    with open(os.path.join(kept, "cache.pickle"), "rb") as file:
        return pickle.load(file)


def clear(keep: str) -> None:
    """Remove the folders of samples that have ended, but for that name."""
    mark = f"work-{os.environ['PR_CHECK_MARK']}-"
    for name in os.listdir("."):
        if name.startswith(mark) and (not keep or name != mark + keep):
            shutil.rmtree(name, ignore_errors=True)


def installed() -> Iterator[tuple[str, str]]:
    """Give each installed distribution with a hash of what it installed: the same for commits that install the same."""
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name in seen:  # it is not imported: the first of the path is
            continue
        seen.add(name)
        files = sorted(
            f"{file} {_hash(file)}"
            for file in distribution.files or ()
            if file.suffix != ".pyc" and not file.parts[0].endswith(".dist-info")
        )
        text = "\n".join([distribution.version, *sorted(distribution.requires or ()), *files])
        yield name, f"{distribution.version} {sha256(text.encode()).hexdigest()[:12]}"


def _hash(file: importlib.metadata.PackagePath) -> str:
    """Return the hash of an installed file, as it was written down or by what it holds."""
    if file.hash is not None:
        return file.hash.value
    place = Path(str(file.locate()))
    return sha256(place.read_bytes()).hexdigest() if place.is_file() else ""


def _time(result: Any) -> Sample:
    if result is None:
        raise NotImplementedError("its parameters are skipped")
    return {"seconds": statistics.median(result["samples"]), "number": result["number"]}


def _number(result: Any) -> float:
    """Return a tracked value as a number, the median where there are samples."""
    if isinstance(result, dict) and "samples" in result:
        result = statistics.median(result["samples"])
    if result is None:
        raise ValueError("it returns None")
    with suppress(TypeError, ValueError):
        number = float(result)
        if math.isnan(number):
            raise NotImplementedError("it returns NaN")
        return number
    raise NotImplementedError("it returns no number")


def _where(entry: Any) -> tuple[str, str]:
    """Return the file and the name of a profiled function; no file for one that is not of Python."""
    return ("", entry.code) if isinstance(entry.code, str) else (entry.code.co_filename, entry.code.co_name)


def _short(path: str) -> str:
    """Return the part of a path that says which module it is."""
    for folder in sorted(filter(os.path.isabs, sys.path), key=len, reverse=True):
        if path.startswith(f"{folder}/"):
            return path[len(folder) + 1 :]
    return os.path.basename(path)
