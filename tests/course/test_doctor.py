"""`course doctor` on machines where something is missing, broken or another's.

Each machine is a virtual environment with links to the packages that are there, and in
front of them modules that misbehave.
"""

import ast
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

import pytest

from course import doctor
from course.paths import root

STAFF = ("nbgrader", "jupyter_book", "jupytext", "__editable__", "runnable_deep", "pip")
PIP = "python -m pip install -c requirements.lock -e ."
TORCH = """
class ones:
    def __init__(self, *_, **__): pass
    def __matmul__(self, _): return self
    def sum(self): return self
    def backward(self): pass
__version__ = "{}"
"""


class Machine:
    """An environment of its own, with a folder of the course, in `folder`."""

    def __init__(self, folder):
        self.environment, self.shims = folder / "environment", folder / "shims"
        self.course, self.home = folder / "course", folder / "home"
        for each in (self.shims, self.course, self.home):
            each.mkdir()
        for name in ("pyproject.toml", "requirements.lock"):
            (self.course / name).write_bytes((root() / name).read_bytes())
        venv.create(self.environment, symlinks=True)
        where = {"base": self.environment, "platbase": self.environment}
        self.packages = Path(sysconfig.get_path("purelib", "venv", where))
        self.scripts = Path(sysconfig.get_path("scripts", "venv", where))
        self.program = self.scripts / "python"
        self.variables = {
            "PATH": f"{self.scripts}{os.pathsep}{os.defpath}",
            "PYTHONPATH": f"{self.shims}{os.pathsep}{root()}",
            "PYTHONDONTWRITEBYTECODE": "1",  # shims change within a second
            "HOME": str(self.home),
        }

    def install(self, choose):
        """Link those of the packages here whose file's name is chosen."""
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if choose(path.name):
                (self.packages / path.name).symlink_to(path)

    def uninstall(self, name):
        """Take a package and what says that it is installed away."""
        for pattern in (name, f"{name}-*.dist-info"):
            for path in self.packages.glob(pattern):
                path.unlink()

    def shim(self, name, source):
        """A module that is found before the installed one."""
        (self.shims / f"{name}.py").write_text(source)

    def version(self, name, version):
        """Have a package's metadata say that it is of another version."""
        folder = self.shims / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")

    def kernelspec(self, folder, program):
        """A kernel called python3 in `folder`."""
        path = folder / "kernels/python3/kernel.json"
        path.parent.mkdir(parents=True)
        argv = [str(program), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        path.write_text(json.dumps({"argv": argv, "display_name": "P"}))

    def command(self, folder):
        """A command `jupyter` in `folder`."""
        path = folder / "jupyter"
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    def python(self, *arguments):
        """Run this machine's Python in the folder of the course."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.course,
            env=self.variables,
            capture_output=True,
            text=True,
        )

    def look(self, check, *, needed=True, before=""):
        """The lines that one check prints, with a statement run `before` it."""
        call = f"doctor._told(doctor.{check.__name__}, {needed})"
        done = self.python("-c", f"from course import doctor\n{before}\n{call}")
        assert not done.stderr
        return done.stdout.splitlines()


@pytest.fixture
def machine(tmp_path):
    """A learner's machine on which all is well."""
    machine = Machine(tmp_path)
    machine.install(lambda name: not name.lower().startswith(STAFF))
    machine.command(machine.scripts)
    return machine


# As a whole


@pytest.mark.parametrize("what", ["release", "checkout"])
def test_a_learners_machine_on_which_all_is_well(machine, what):
    if what == "checkout":
        (machine.course / "solutions").mkdir()
    done = machine.python("-m", "course.cli", "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MEND" not in done.stdout
    assert done.stdout.count("\nok ") == len(doctor.LEARNER)
    assert ("for authors and instructors" in done.stdout) == (what == "checkout")


def test_it_speaks_with_click_and_platformdirs_alone(tmp_path):
    bare = Machine(tmp_path)
    bare.install(lambda name: name.startswith(("click", "platformdirs")))
    done = bare.python("-m", "course.cli", "doctor")
    assert done.returncode == 1
    assert not done.stderr
    for said in (
        "einops is missing",
        "torch is missing",
        "ipykernel: it is missing; jupyterlab: it is missing",
        "no Jupyter kernel",
        "no command `jupyter`",
        "memory: not looked at",
        "5 to mend: begin with the first",
    ):
        assert said in done.stdout, done.stdout


def test_an_old_python_is_told_first_and_alone(machine):
    machine.shim("tomllib", "raise ModuleNotFoundError(__name__)")
    code = "import sys; sys.version_info = (3, 10, 2)\n"
    done = machine.python("-c", code + "from course.cli import main; main()", "doctor")
    assert done.returncode == 1
    assert not done.stderr
    first, advice, *rest = done.stdout.splitlines()
    assert first.startswith("MEND     Python 3.10.2")
    assert "Python 3.11" in advice
    assert rest == ["", "1 to mend: begin with the first, then course doctor again"]


@pytest.mark.parametrize("name", ["cli", "doctor", "paths"])
def test_an_old_python_can_read_what_tells_it(name):
    text = (Path(doctor.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    unions = [node for node in ast.walk(tree) if isinstance(node, ast.BitOr)]
    assert not unions or "from __future__ import annotations" in text


def test_a_check_that_fails_itself_leaves_the_others_be(machine):
    (machine.course / "requirements.lock").unlink()
    done = machine.python("-m", "course.cli", "doctor")
    assert done.returncode == 1
    assert "packages could not be looked at" in done.stdout
    assert "the Jupyter kernel python3 is this environment's" in done.stdout


def test_outside_the_course_the_line_says_where_to_go(machine):
    machine.uninstall("torch")
    (machine.course / "work").mkdir()
    _, advice = machine.look(doctor.torch, before="doctor.os.chdir('work')")
    assert advice.strip() == f'cd "{machine.course}" && {PIP}'


# Packages


def test_missing_and_other_packages_are_named(machine):
    machine.uninstall("einops")
    machine.version("click", "1.0")
    what, advice = machine.look(doctor.packages)
    assert what.startswith("MEND     einops is missing; click 1.0 instead of 8")
    assert advice.strip() == PIP


def test_what_only_staff_need_is_not_missed(machine):
    machine.uninstall("bleach")
    (what,) = machine.look(doctor.packages)
    assert what.startswith("ok ")


def test_torch_is_missing(machine):
    machine.uninstall("torch")
    what, advice = machine.look(doctor.torch)
    assert what == "MEND     torch is missing"
    assert advice.strip() == PIP


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "by SIGSEGV"),
        ("import os; os._exit(3)", "exit code 3"),
        ("raise ImportError('libtorch.so: no such file')", "Error: libtorch.so: no"),
        ("ones = None", "not callable"),
    ],
)
def test_a_torch_that_does_not_work_is_reported_with_what_it_does(
    machine, source, said
):
    machine.shim("torch", source)
    what, advice = machine.look(doctor.torch)
    assert what.startswith("MEND     torch does not work: ")
    assert said in what
    assert advice.strip().endswith("--force-reinstall --no-deps torch==2.13.0")


def test_a_torch_that_hangs_is_given_up(machine):
    machine.shim("torch", "import time; time.sleep(1000)")
    what, _ = machine.look(doctor.torch, before="doctor.PATIENCE = 1")
    assert what == "MEND     torch does not work: no end after 1 s"


def test_another_torch_is_not_the_one_that_is_tested_but_another_build_is(machine):
    machine.shim("torch", TORCH.format("2.12.1+cu128"))
    what, advice = machine.look(doctor.torch)
    assert what == "MEND     torch 2.12.1+cu128 instead of 2.13.0"
    assert advice.strip() == PIP
    machine.shim("torch", TORCH.format("2.13.0+cu130"))
    assert machine.look(doctor.torch) == ["ok       torch 2.13.0+cu130"]


# Jupyter


@pytest.mark.parametrize("name", ["ipykernel", "jupyterlab"])
def test_jupyter_is_missing_or_broken(machine, name):
    machine.shim(name, "raise ImportError('no libzmq')")
    what, _ = machine.look(doctor.jupyter)
    assert what == f"MEND     {name}: ImportError: no libzmq"
    machine.uninstall(name)
    what, advice = machine.look(doctor.jupyter)
    assert what == f"MEND     {name}: it is missing"
    assert advice.strip() == PIP


def test_a_kernel_of_this_environment_is_right(machine):
    fine = ["ok       the Jupyter kernel python3 is this environment's"]
    assert machine.look(doctor.kernel) == fine  # the one that Jupyter makes up
    for name, program in {"a": "python", "b": machine.program}.items():
        machine.kernelspec(machine.home / name, program)
        machine.variables["JUPYTER_PATH"] = str(machine.home / name)
        assert machine.look(doctor.kernel) == fine


def test_a_kernel_of_another_environment_is_told_with_its_place(machine):
    machine.kernelspec(machine.home / "there", "/opt/conda/bin/python")
    machine.variables["JUPYTER_PATH"] = str(machine.home / "there")
    what, advice = machine.look(doctor.kernel)
    assert "MEND     the Jupyter kernel python3 is another environment's" in what
    assert f"/opt/conda/bin/python ({machine.home}/there/kernels/python3)" in what
    assert advice.strip() == "python -m jupyter kernelspec remove -f python3"


def test_a_kernel_left_by_an_environment_that_was_moved_is_written_anew(machine):
    machine.kernelspec(machine.environment / "share/jupyter", "/gone/.venv/bin/python")
    what, advice = machine.look(doctor.kernel)
    assert "another environment's: /gone/.venv/bin/python" in what
    assert advice.strip() == "python -m ipykernel install --sys-prefix"


def test_no_kernel_at_all_is_told(machine):
    machine.uninstall("ipykernel")
    what, advice = machine.look(doctor.kernel)
    assert what.startswith("MEND     no Jupyter kernel called python3: ")
    assert "NoSuchKernel" in what
    assert advice.strip() == PIP


def test_an_environment_that_is_not_activated_is_told(machine):
    activate = f". {machine.scripts}/activate"
    machine.variables["PATH"] = os.defpath
    what, advice = machine.look(doctor.command)
    assert "no command `jupyter`" in what
    assert advice.strip() == activate
    other = machine.command(machine.home)
    machine.variables["PATH"] = str(machine.home)
    what, advice = machine.look(doctor.command)
    assert what == f"MEND     `jupyter` is another environment's: {other}"
    assert advice.strip() == activate


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"language_info": {"name": "python", "version": "3.8.1"}}, "Python 3.8.1"),
        ({"kernelspec": {"name": "conda-base"}}, "kernel conda-base"),
    ],
)
def test_a_notebook_that_another_environment_ran_is_named(machine, changes, said):
    here = "{}.{}.1".format(*sys.version_info)
    metadata = {
        "kernelspec": {"name": "python3"},
        "language_info": {"name": "python", "version": here},
    }
    path = machine.course / "work/part/lesson.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"metadata": metadata}))
    (path.parent / "bad.ipynb").write_text("{")
    assert machine.look(doctor.notebooks) == ["ok       no notebook was run elsewhere"]
    path.write_text(json.dumps({"metadata": metadata | changes}))
    what, advice = machine.look(doctor.notebooks, needed=False)
    assert what.startswith("optional last run in another environment: work/part/lesson")
    assert said in what
    assert str(machine.program) in advice


# The machine


def test_a_full_disk_is_told_with_the_place(machine):
    before = f"""
from types import SimpleNamespace as Some
def disk_usage(place):
    return Some(free=2**29 if str(place) == {str(machine.environment)!r} else 2**40)
doctor.shutil.disk_usage = disk_usage
"""
    what, advice = machine.look(doctor.disk, before=before)
    place = machine.environment
    assert what == f"MEND     0.5 GiB of disk free at {place}; 1 are needed"
    assert advice.strip() == "python -m pip cache purge"


def test_little_memory_is_told(machine):
    machine.shim(
        "psutil",
        "from types import SimpleNamespace as Some\n"
        "virtual_memory = lambda: Some(available=2**30)\n",
    )
    what, advice = machine.look(doctor.memory, needed=False)
    assert what == "optional 1.0 GiB of memory free; an exercise may take 2"
    assert "close other programs" in advice


def test_a_work_folder_that_is_none_is_told(machine):
    work = machine.course / "work"
    assert machine.look(doctor.writable)[0].startswith("ok ")
    work.write_text("a file")
    what, advice = machine.look(doctor.writable)
    assert what == f"MEND     cannot write into {work}: Not a directory"
    assert "move or rename" in advice


def test_a_work_folder_that_cannot_be_written_is_told(machine):
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        work.mkdir()
        before = f"doctor._work = lambda: doctor.Path({str(work)!r})"
        if os.geteuid() == 0:  # root may write anywhere
            os.chmod(folder, 0o755)
            before += "\ndoctor.os.seteuid(65534)"
        work.chmod(0o555)
        what, advice = machine.look(doctor.writable, before=before)
    assert what == f"MEND     cannot write into {work}: Permission denied"
    assert advice.strip() == f'chmod -R u+w "{work}"'
