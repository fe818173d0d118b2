"""The asv plugin: interpreters that really start are found, shims that do not are passed over, in plain asv too."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asv_plugins.interpreters import find_python
from benchmarks import common

from .conftest import PROJECT

# What asv.conf.json calls an interpreter, as an expression.
NAME = "'{}.{}'.format(*sys.version_info) + 't' * bool(sysconfig.get_config_var('Py_GIL_DISABLED'))"
PYTHONS: list[str] = json.loads((PROJECT / "asv.conf.json").read_text())["pythons"]


def version_of(python: str) -> str:
    return subprocess.check_output([python, "-c", f"import sys, sysconfig; print({NAME})"], text=True).strip()


THIS = version_of(sys.executable)


@pytest.mark.parametrize("version", PYTHONS)
def test_what_is_found_starts_and_is_of_that_version(version: str) -> None:
    python = find_python(version)
    if python is None:
        assert version != THIS
        pytest.skip(f"no Python {version} on this machine")
    assert version_of(python) == version


def test_a_version_that_is_nowhere_is_none() -> None:
    assert find_python("3.99") is None


@pytest.fixture
def machine_of_shims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine on which one version exists as a shim that does not start, and in pyenv's versions; which version."""
    others = [(version, python) for version in PYTHONS if version != THIS and (python := find_python(version))]
    if not others:
        pytest.skip("this machine has only one Python")
    version, python = others[-1]
    shims, versions = tmp_path / "shims", tmp_path / "versions"
    shims.mkdir()
    versions.mkdir()
    shim = shims / f"python{version}"
    shim.write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    (versions / f"{version.removesuffix('t')}.7{version[4:]}").symlink_to(Path(os.path.realpath(python)).parent.parent)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", f"{shims}{os.pathsep}{_path_without_pythons(version)}")
    monkeypatch.setenv("HOME", str(tmp_path))
    find_python.cache_clear()
    return version


def _path_without_pythons(version: str) -> str:
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if not Path(folder, f"python{version}").exists())


def test_a_shim_that_does_not_start_is_passed_over_for_pyenvs_real_one(machine_of_shims: str) -> None:
    python = find_python(machine_of_shims)
    assert python is not None
    assert version_of(python) == machine_of_shims


def test_asv_itself_uses_the_real_one(machine_of_shims: str, tmp_path: Path) -> None:
    settings = json.loads((PROJECT / "asv.conf.json").read_text())
    settings.update(pythons=[machine_of_shims], include=[], repo=str(PROJECT), env_dir=str(tmp_path / "env"))
    configuration = tmp_path / "asv.conf.json"
    configuration.write_text(json.dumps(settings))
    script = (
        "import sys; from asv.config import Config; from asv.environment import get_environments;"
        "from asv.plugin_manager import plugin_manager;"
        "config = Config.load(sys.argv[1]); [plugin_manager.import_plugin(name) for name in config.plugins];"
        "print([environment._executable for environment in get_environments(config, None)])"
    )
    said = subprocess.check_output([sys.executable, "-c", script, str(configuration)], cwd=PROJECT, text=True)
    (found,) = ast.literal_eval(said)
    assert version_of(found) == machine_of_shims


def test_quick_set() -> None:
    """What make bench selects is in the suite, under the names that it has there."""
    quick = re.findall(r"(\d+), '\(([a-z|-]+)\)'", (PROJECT / "Makefile").read_text())
    assert quick
    for workers, settings in quick:
        assert int(workers) in common.WORKERS
        assert set(settings.split("|")) <= set(common.SETTINGS)


def test_the_environment_of_libraries_has_what_the_extra_installs() -> None:
    """And everything else is as in the other configuration."""
    libraries = json.loads((PROJECT / "asv.libraries.json").read_text())
    usual = json.loads((PROJECT / "asv.conf.json").read_text())
    own = {"pythons", "matrix", "plugins"}
    assert {key: value for key, value in libraries.items() if key not in own} == {
        key: value for key, value in usual.items() if key in libraries.keys() - own
    }
    installed = {f"{name.removeprefix('pip+')}=={version}" for name, (version,) in libraries["matrix"]["req"].items()}
    setup = (PROJECT / "setup.py").read_text()
    wanted = re.search(r"LIBRARIES = (\[.*?\n\])", setup, re.DOTALL)
    assert wanted
    pinned = {pin.partition(";")[0] for pin in ast.literal_eval(wanted[1])}
    assert installed - pinned == {f"asv_runner=={usual['matrix']['req']['pip+asv_runner'][0]}"}
    assert pinned <= installed
