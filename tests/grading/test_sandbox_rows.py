"""Rows of the catalogue that the sandbox answers for, handed in to the real judge.

Each answer does what it must not, and only if that worked is it right: marks would
mean that it did.
"""

import os
import re
import textwrap
from pathlib import Path

import pytest
from test_hostile import HELD, PASSED, RIGHT, double, judged

from course.grading import judge, sandbox
from course.paths import root, state

pytestmark = pytest.mark.skipif(
    sandbox.landlock_abi() < sandbox.LEAST_LANDLOCK,
    reason="needs a Linux whose sandbox reaches the base",
)
DENIED = r"(PermissionError|FileNotFoundError|ProcessLookupError|OSError|IndexError)"


@pytest.fixture(scope="module", autouse=True)
def planted():
    """A gradebook and other submissions that the judge's user owns."""
    files = [state() / "gradebook.db", state() / "submitted" / "zoe" / "answer.ipynb"]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("canary-gradebook")
    yield
    judge.close()
    for path in files:
        assert path.read_text() == "canary-gradebook"
        path.unlink()


PLACES = {
    "GRADEBOOK": state() / "gradebook.db",
    "OTHERS": state() / "submitted" / "zoe",
    "SOLUTIONS": root() / "solutions",
    "COURSE": root(),
    "HOME": Path.home(),
    "JUDGE": os.getpid(),
    "SITE": Path(os.__file__).parent / "site-packages",
    "RELEASED": root() / "lib" / "positional_encoding" / "rotary.py",
}
ROWS = {
    "A24 the gradebook read": "open('GRADEBOOK').read()",
    "A24 solutions listed": "os.listdir('SOLUTIONS')",
    "A24 the reference read": "open('RELEASED').read()",
    "A24 the course listed": "os.listdir('COURSE')",
    "A24 others' work": "open('OTHERS/answer.ipynb').read()",
    "A24 keys of the home folder": "os.listdir('HOME')",
    "A24 the judge's environment": "open('/proc/JUDGE/environ').read()",
    "A24 the own environment": "open('/proc/self/environ').read()",
    "A24 variables": "[os.environ[k] for k in os.environ if 'COURSE' in k][0]",
    "A25 the gradebook written": "open('GRADEBOOK', 'a').write('x')",
    "A25 the gradebook truncated": "os.truncate('GRADEBOOK', 0)",
    "A25 the gradebook removed": "os.unlink('GRADEBOOK')",
    "A26 others' work written": "open('OTHERS/answer.ipynb', 'w').write('x')",
    "A26 a file among others'": "open('OTHERS/new', 'w').write('x')",
    "A27 a .pth file": "open('SITE/evil.pth', 'w').write('import os')",
    "A27 sitecustomize": "open('SITE/sitecustomize.py', 'w').write('x')",
    "A27 a kernel": "os.makedirs('HOME/.local/share/jupyter/kernels/python3')",
    "A30 the judge killed": "os.kill(JUDGE, signal.SIGKILL)",
    "A30 the parent killed": "os.kill(os.getppid(), signal.SIGKILL)",
    "A30 everybody killed": "os.kill(-1, signal.SIGKILL)",
    "A30 the group killed": "os.killpg(0, signal.SIGKILL)",
    "A30 the judge's memory": "open('/proc/JUDGE/mem', 'rb')",
    "A30 other limits for it": "resource.prlimit(JUDGE, resource.RLIMIT_CPU, (1, 1))",
    "A31 a socket": "socket.create_connection(('127.0.0.1', 80))",
    "A31 a name": "socket.getaddrinfo('example.org', 80)",
    "A31 a server": "socket.socket().bind(('127.0.0.1', 0))",
    "A31 a unix socket": "socket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
    "A31 the metadata address": "urllib.request.urlopen('http://169.254.169.254/')",
    "A32 data sent": "socket.socket(type=2).sendto(b'x', ('127.0.0.1', 53))",
    "a program started": "subprocess.run(['/bin/sh', '-c', 'true'])",
    "F9 a large file": "open('large', 'wb').write(bytes(2**28 + 2**20))",
    "F9 a sparse file": "os.truncate(open('sparse', 'wb').name, 2**40)",
    "F9 many files": "[open(f'f{k}', 'w').close() for k in range(10**5)]",
}
IMPORTS = "import os, resource, signal, socket, subprocess, urllib.request\n"


@pytest.mark.parametrize("name", ROWS)
def test_what_a_learner_may_not_do_is_refused(name):
    attempt = re.sub("|".join(PLACES), lambda m: str(PLACES[m[0]]), ROWS[name])
    code = f"{IMPORTS}def double(x):\n    {attempt}\n    return 2 * x\n"
    points, status, message = double(judged(code))
    assert points == 0
    # Without a tmpfs the supervisor ends what makes too many files.
    if status != "crashed" or not name.startswith("F9"):
        assert status == "wrong"
        assert re.search(DENIED + "|URLError|gaierror", message), message
    assert "canary" not in message


def test_F8_a_fork_bomb_costs_its_own_exercise():
    code = """
        import os
        def double(x):
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
        """
    points, status, _ = double(judged(textwrap.dedent(code), seconds=2.0))
    assert points == 0
    assert status in ("timed out", "crashed")
    assert double(judged(RIGHT)) == (2, PASSED, HELD)


def test_F7_a_swarm_that_holds_too_much_together_is_ended():
    code = """
        import os, time
        def double(x):
            for _ in range(6):
                if not os.fork():
                    held = bytearray(b"x") * (600 * 2**20)
                    time.sleep(20)
            time.sleep(20)
            return 2 * x
        """
    points, status, _ = double(judged(textwrap.dedent(code), seconds=15.0))
    assert (points, status) == (0, "crashed")
    assert double(judged(RIGHT)) == (2, PASSED, HELD)
