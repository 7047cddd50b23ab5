"""Rows of answers that reach for what is not theirs.

Each does what it must not, and only if that worked is it right: marks would mean that
it did. What it found is in its message, where a canary would be seen.
"""

from catalogue.row import Row

DENIED = (
    r"(PermissionError|FileNotFoundError|ProcessLookupError|OSError|IndexError"
    r"|URLError|gaierror|KeyError|NotADirectoryError)"
)
IMPORTS = "import os, resource, signal, socket, subprocess, urllib.request\n"
ATTEMPTS = {
    "A24 the gradebook read": "open('GRADEBOOK', 'rb').read()",
    "A24 the key read": "open('KEY', 'rb').read()",
    "A24 verdicts listed": "os.listdir('STATE')",
    "A24 solutions listed": "os.listdir('SOLUTIONS')",
    "A24 the reference read": "open('RELEASED').read()",
    "A24 the course listed": "os.listdir('COURSE')",
    "A24 others' work": "open('OTHERS/first.ipynb').read()",
    "A24 keys of the home folder": "os.listdir('HOME')",
    "A24 the grader's environment": "open('/proc/JUDGE/environ').read()",
    "A24 the environment it has itself": "open('/proc/self/environ').read()",
    "A24 variables": "[os.environ[k] for k in os.environ if 'COURSE' in k][0]",
    "A25 the gradebook written": "open('GRADEBOOK', 'a').write('x')",
    "A25 the gradebook truncated": "os.truncate('GRADEBOOK', 0)",
    "A25 the gradebook removed": "os.unlink('GRADEBOOK')",
    "A25 another in its place": "os.rename('STATE', 'STATE-evil')",
    "A26 others' work written": "open('OTHERS/first.ipynb', 'w').write('x')",
    "A26 a file among others'": "open('OTHERS/new', 'w').write('x')",
    "A26 what was autograded": "open('AUTOGRADED/first.ipynb', 'w').write('x')",
    "A27 a .pth file": "open('SITE/catalogue-evil.pth', 'w').write('import os')",
    "A27 sitecustomize": "open('SITE/sitecustomize.py', 'w').write('x')",
    "A27 a kernel": "os.makedirs('HOME/.local/share/jupyter/kernels/python3')",
    "A27 start-up files of IPython": "os.makedirs('HOME/.ipython/profile_default')",
    "A30 the grader killed": "os.kill(JUDGE, signal.SIGKILL)",
    "A30 the parent killed": "os.kill(os.getppid(), signal.SIGKILL)",
    "A30 everybody killed": "os.kill(-1, signal.SIGKILL)",
    "A30 the group killed": "os.killpg(0, signal.SIGKILL)",
    "A30 the grader's memory": "open('/proc/JUDGE/mem', 'rb')",
    "A30 other limits for it": "resource.prlimit(JUDGE, resource.RLIMIT_CPU, (1, 1))",
    "A31 a name": "socket.getaddrinfo('example.org', 80)",
    "A31 a server": "socket.socket().bind(('127.0.0.1', 0))",
    "A28 a program started": "subprocess.run(['/bin/sh', '-c', 'true'])",
}
NETWORK = {
    "A31 a request": "urllib.request.urlopen('http://127.0.0.1:1/').read()",
    "A31 a socket": "socket.create_connection(('127.0.0.1', 80))",
    "A31 a unix socket": "socket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
    "A31 the metadata address": "urllib.request.urlopen('http://169.254.169.254/')",
    "A32 data sent": "socket.socket(type=2).sendto(b'x', ('127.0.0.1', 53))",
}
DISK = {
    "F9 a large file": "open('large', 'wb').write(bytes(2**28 + 2**20))",
    "F9 a sparse file": "os.truncate(open('sparse', 'wb').name, 2**40)",
    "F9 many files": "[open(f'f{k}', 'w').close() for k in range(10**5)]",
}


def attempt(code):
    """An answer that is right if `code` does not raise."""
    return f"{IMPORTS}def double(x):\n    {code}\n    return 2 * x\n"


ROWS = [
    *(
        Row(
            name,
            attempt(code),
            message=DENIED,
            # Of a path that is asked for and not there, the instructor is told.
            notes=("flag-path",) if name.startswith("A24") and "('" in code else (),
        )
        for name, code in ATTEMPTS.items()
    ),
    *(
        Row(name, attempt(code), message="network is off when grading")
        for name, code in NETWORK.items()
    ),
    Row(
        "A32 a socket at import",
        "import socket\nsocket.socket().connect(('127.0.0.1', 1))",
        message="PermissionError: the network is off when grading",
    ),
    *(
        Row(
            name,
            attempt(code),
            status="crashed",
            message="^your code wrote more than 256 MiB, or more than 1000 files$",
        )
        for name, code in DISK.items()
    ),
]
