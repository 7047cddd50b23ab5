"""The process that learners' processes are forked from: torch is loaded once.

A program of its own, started by the judge with an empty environment from a folder that
holds nothing but what it needs, so that nothing of a test, a solution or a key was ever
in its memory or reach. It runs no learner code and no parallel operation (a fork of a
process with threads can hang). It trusts the judge, whose requests arrive over a socket
as JSON, with descriptors beside them:

{"do": "fork", "preload": [modules], "setup": see `learner.serve`, "policy": what of
`sandbox.Policy` is not the default} with the sockets of a learner's process, answered
by {"pid"}; {"do": "why", "gone"} is answered by {"why": what `sandbox.reason` says of
the last one}; {"do": "end", "scratch"} ends every process that came of a fork, answered
by {}. The first message, {"isolated"}, says that it is ready, and whether in namespaces
of its own. When the judge is gone, all ends.

Arguments: the descriptor of the judge's socket, the folder under which learners'
scratch folders lie, "bare" to put up no sandbox or "shut", and what learners may read
beside the interpreter's own files.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

PRELOADED = (
    *("numpy", "torch", "jaxtyping", "einops"),
    # The first backward pass imports it, with sympy: half a second.
    "torch.fx.experimental.symbolic_shapes",
)
PROGRAM = Path(__file__).resolve().parents[2]


def main() -> None:
    """Serve the judge until it is gone."""
    descriptor, scratch, how, *readable = sys.argv[1:]
    bare = how == "bare"
    sys.path.insert(0, str(PROGRAM))
    from course.grading import sandbox

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the judge's to handle
    sandbox.prepare([PROGRAM, *map(Path, readable)], Path(scratch), bare=bare)
    judge = socket.socket(fileno=int(descriptor))
    _load(PRELOADED)
    from course.grading import learner

    learner.courses_own()
    _settle()
    judge.send(json.dumps({"isolated": sandbox.isolated()}).encode())
    pid = None
    while True:
        request, descriptors, _, _ = socket.recv_fds(judge, 2**20, 128)
        if not request:
            break
        request = json.loads(request)
        if request["do"] == "why":
            why = sandbox.reason(pid, request["gone"])
            judge.send(json.dumps({"why": why}).encode())
            continue
        if request["do"] == "end":
            sandbox.sweep(Path(request["scratch"]))
            judge.send(b"{}")
            continue
        if _load(request["preload"]):
            _settle()
        pid = os.fork()
        if not pid:
            try:
                _become_learner(request, descriptors, bare)
            finally:  # whatever happens, this copy of the loop does not go on
                os._exit(1)
        for each in descriptors:
            os.close(each)
        judge.send(json.dumps({"pid": pid}).encode())


def _load(names):
    """Import what is there of `names`; whether there was anything new."""
    new = [name for name in names if name not in sys.modules]
    for name in new:
        # What is missing is reported by the cell that imports it.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    return bool(new)


def _settle():
    """Leave as little as can be for each learner's process to do, or to copy."""
    from course.grading import learner, sandbox

    learner.seed()  # the first time it imports half of torch
    gc.collect()
    gc.freeze()
    sandbox.collapse()


def _become_learner(request, descriptors, bare):
    from course.grading import learner, sandbox
    from course.grading.wire import Channel

    channels = [Channel(socket.socket(fileno=number)) for number in descriptors]
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    setup = request["setup"]
    policy = sandbox.Policy(
        read=(*sandbox.libraries(), Path(setup["library"])),
        write=Path(setup["scratch"]),
        **request["policy"],
    )
    sandbox.enter(policy, keep=descriptors, weak=setup["weak"], bare=bare)
    learner.serve(channels, setup)


if __name__ == "__main__":
    main()
