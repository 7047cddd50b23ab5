"""The judge's side of a zygote: from where learners' processes come, and how they end.

It trusts the zygote. It needs no torch: both sides can load that at the same time.
"""

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from course.grading import sandbox

if TYPE_CHECKING:
    from course.grading.wire import Channel

START = 60.0  # seconds in which the zygote must be ready


class Zygote:
    """Starts learners' processes, one submission at a time, and ends them.

    It is there at once, and ready when its first process is. What fails is a
    ConnectionError or a TimeoutError; then close it.
    """

    def __init__(
        self, program: Path, scratch: Path, readable: list[Path], bare: bool = False
    ):
        self.scratch, self.forks, self.bare = scratch, 0, bare
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = mine
        program = program / "course" / "grading" / "zygote.py"
        how = "bare" if bare else "shut"
        # Of -I this leaves out only that it ignores the environment, which is ours:
        # sets of strings then have one order, the same answers one verdict.
        command = [sys.executable, "-P", "-s", "-B", "-X", "utf8", str(program)]
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "OMP_THREAD_LIMIT": "1",
            "MKL_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [*command, str(its.fileno()), str(scratch), how, *map(str, readable)],
            pass_fds=[its.fileno()],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=sandbox.preexec,
        )
        its.close()

    @functools.cached_property
    def isolated(self) -> bool:
        """Whether it is in namespaces of its own; known when it is ready."""
        return self._receive(START)["isolated"]

    def fork(
        self, setup: dict, policy: dict, preload: list[str], channels: int
    ) -> list["Channel"]:
        """A new learner's process; the channels to it."""
        from course.grading.wire import Channel

        _ = self.isolated  # the first that it says
        self.forks += 1
        pairs = [socket.socketpair() for _ in range(channels)]
        setup = setup | {"scratch": str(self.scratch / str(self.forks))}
        request = {"do": "fork", "setup": setup, "policy": policy, "preload": preload}
        with contextlib.ExitStack() as stack:
            for _, its in pairs:
                stack.enter_context(its)
            socket.send_fds(
                self.socket,
                [json.dumps(request).encode()],
                [its.fileno() for _, its in pairs],
            )
            self._receive(START)
        return [Channel(mine) for mine, _ in pairs]

    def why(self, gone: bool) -> str | None:
        """What the last learner's process was ended for: see `sandbox.reason`."""
        self.socket.send(json.dumps({"do": "why", "gone": gone}).encode())
        return self._receive(START)["why"]

    def end(self) -> None:
        """End every process that came of a fork, and empty its folder."""
        scratch = str(self.scratch / str(self.forks))
        self.socket.send(json.dumps({"do": "end", "scratch": scratch}).encode())
        self._receive(START)

    def close(self) -> None:
        """End the zygote with all that came of it."""
        self.socket.close()
        sandbox.kill_all(self.process.pid)
        self.process.wait()

    def _receive(self, seconds):
        self.socket.settimeout(seconds)
        answer = self.socket.recv(2**16)
        if not answer:
            raise ConnectionError("the zygote has ended")
        return json.loads(answer)
