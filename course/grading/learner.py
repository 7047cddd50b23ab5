"""A learner's process: runs the notebook's cells and answers calls of what they define.

Nothing here is trusted once the first cell has run: a learner's code can change all of
it. Whatever it then sends is a claim about a value, which the judge checks. What must
not be known here never arrives: no test, no seed, no solution.

The main line runs cells when it is told to. For an exercise it forks; the fork answers
the judge over a channel of its own, while the main line waits for its end.

To the main line: ["run", cell, kind, source], ["fork", number of the channel]; from it:
["ran", what was raised or None], ["ended", exit status]. To an exercise: ["call",
target, args, kwargs], ["get", target], ["attribute", target, name], ["item", target,
key], ["length", target], and in answer to a callback ["value", value] or ["raise",
type, text]; from it: ["value", value], ["error", what was raised], ["refused", why],
["callback", number, args, kwargs].
"""

import builtins
import functools
import os
import random
import signal
import socket
import sys
import types

import numpy as np
import torch

from course.exercises import runner
from course.grading import wire
from course.grading.wire import Channel, Reference, WireError

MOST_OBJECTS = 10**5
FUNCTIONS = (types.FunctionType, types.MethodType)


def serve(channels: list[Channel], setup: dict) -> None:
    """Be a learner's process; returns only if a learner's code made it so.

    setup: {"library": the folder to import `lib` and `course` from, "scratch": the
    folder to work in, "absent": [modules], "answers": [names that answers define]};
    what else is in it is for the sandbox.
    """
    _enclose(setup)
    main, *others = channels
    notebook = types.ModuleType("__main__")
    sys.modules["__main__"] = notebook
    scope = notebook.__dict__
    given = {}
    while True:
        message = wire.decode(main.receive())
        if message[0] == "run":
            _, name, kind, source = message
            before = dict(scope)
            error = _run(source, name, scope)
            if kind == "given":
                # What the release binds stays what a probe sees, whatever comes later.
                given |= {k: v for k, v in scope.items() if before.get(k) is not v}
            main.send(wire.encode(["ran", error]))
        else:
            chance = random.getstate()
            pid = os.fork()
            channel = others[message[1]]
            if not pid:
                try:
                    for other in channels:
                        if other is not channel:
                            other.close()
                    random.setstate(chance)  # Python draws another for every fork
                    answers = {n: scope[n] for n in setup["answers"] if n in scope}
                    visible = {"__name__": "__main__", **given, **answers}
                    _Exercise(channel, answers, visible).serve()
                finally:
                    os._exit(0)
            channel.close()
            _, status = os.waitpid(pid, 0)
            main.send(wire.encode(["ended", os.waitstatus_to_exitcode(status)]))


def _enclose(setup):
    """Only the library that this exercise may use, and nobody to ask."""
    # The judge's own code, from the course's folder, is not for import.
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if not getattr(finder, "__module__", "").startswith("__editable__")
    ]
    for name in courses_own():
        del sys.modules[name]
    sys.path[0] = setup["library"]
    sys.meta_path.insert(0, runner.Absent(setup["absent"]))
    sys.argv = ["notebook"]
    sys.stdin = open(os.devnull)  # noqa: SIM115
    builtins.input = builtins.breakpoint = _no_input
    builtins.display = lambda *_, **__: None
    # The sandbox refuses it in fewer words.
    socket.socket.__init__ = socket.getaddrinfo = _no_network
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ |= {"MPLBACKEND": "Agg", "MPLCONFIGDIR": setup["scratch"]}
    random.seed(0)  # Python draws another for every fork; the others are seeded


@functools.cache
def courses_own() -> list[str]:
    """The modules of the course's own that the zygote has loaded. It asks first: to go
    through all names copies a thousand pages of memory into every learner's process.
    """
    return [name for name in sys.modules if name.split(".")[0] in ("course", "lib")]


def seed() -> None:
    """Begin every chance anew: the same answers shall do the same again."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def _no_input(*_):
    raise RuntimeError("input() is not available when grading")


def _no_network(*_, **__):
    raise PermissionError("the network is off when grading")


def _run(source, name, scope):
    pid = os.getpid()
    error = runner.execute(source, name, scope)
    if os.getpid() != pid:  # a process that the learner's code forked
        os._exit(0)
    return error and {key: _plain(value) for key, value in error.items()}


def _plain(value):
    """`value` with no half characters in its strings, which would not cross."""
    if type(value) is str:
        return value.encode("utf-8", "replace").decode()
    if type(value) is list:
        return [{key: _plain(v) for key, v in each.items()} for each in value]
    return value


class _Exercise:
    """The names that answers define, at the service of the judge."""

    def __init__(self, channel, answers, visible):
        self.channel, self.answers, self.visible = channel, answers, visible
        self.objects, self.probes = [], {}

    def serve(self):
        """Answer until the judge has no more to ask."""
        while True:
            try:
                frame = self.channel.receive()
            except WireError:
                return
            self.answer(frame)

    def answer(self, frame):
        """Answer one request; what it returns if it is none, but an answer itself."""
        pid = os.getpid()
        try:
            message = wire.decode(frame, self.inward, strided=True)
            if message[0] in ("value", "raise"):
                return message
            reply = wire.encode(["value", self.do(*message)], self.outward)
        except WireError as error:
            reply = wire.encode(["refused", _plain(str(error))])
        except BaseException as error:
            described = runner.describe(error, "").items()
            told = {key: _plain(value) for key, value in described}
            reply = wire.encode(["error", told])
        if os.getpid() != pid:  # a process that the learner's code forked
            os._exit(0)
        self.channel.send(reply)
        return None

    def do(self, what, target, *rest):
        """One request."""
        if what == "call":
            args, kwargs = rest
            return target(*args, **kwargs)
        if what == "attribute":
            return getattr(target, rest[0])
        if what == "item":
            return target[rest[0]]
        return len(target) if what == "length" else target

    def outward(self, value):
        """What stays here is known to the judge by a number and a class's name."""
        kind = type(value)
        kept = kind.__module__ == "__main__" or isinstance(value, FUNCTIONS)
        if not kept and not isinstance(
            value, torch.nn.Module | torch.optim.Optimizer | types.BuiltinMethodType
        ):
            of = f" of dtype {value.dtype}" if kind is np.ndarray else ""
            raise WireError(f"class {kind.__qualname__}{of}")
        if len(self.objects) >= MOST_OBJECTS:
            raise WireError(f"more than {MOST_OBJECTS} objects")
        self.objects.append(value)
        return Reference("handle", (len(self.objects) - 1, _plain(kind.__qualname__)))

    def inward(self, kind, value):
        """What the judge sent instead of something that cannot cross."""
        match kind:
            case "name":
                if value not in self.answers:
                    raise NameError(f"name {value!r} is not defined")
                return self.answers[value]
            case "handle":
                return self.objects[value]
            case "probe":
                return self.probe(*value)
            case "callback":
                return lambda *args, **kwargs: self.call_back(value, args, kwargs)
            case "library":
                return _library(value)
            case "dtype":
                return getattr(torch, value)
            case "device":
                return torch.device(value)
            case "slice":
                return slice(*value)
            case "ellipsis":
                return ...
            case "generator":
                generator = torch.Generator()
                generator.set_state(
                    torch.frombuffer(bytearray(value), dtype=torch.uint8)
                )
                return generator
            case "rng":
                bits = np.random.PCG64()
                bits.state = value
                return np.random.Generator(bits)
        raise WireError("an unknown reference")

    def probe(self, name, source):
        """The function that a test sent to run beside the answers."""
        if source not in self.probes:
            scope = dict(self.visible)
            exec(compile(source, "probe", "exec"), scope)
            self.probes[source] = scope[name]
        return self.probes[source]

    def call_back(self, number, args, kwargs):
        """Call a function that stayed with the judge."""
        try:
            request = ["callback", number, list(args), kwargs]
            frame = wire.encode(request, self.outward)
        except WireError as error:
            raise TypeError(f"this function takes data, not {error}") from None
        self.channel.send(frame)
        while True:
            # Before it returns, it may itself call what is defined here.
            message = self.answer(self.channel.receive())
            if message is not None:
                break
        if message[0] == "raise":
            raise getattr(builtins, message[1])(message[2])
        return message[1]


def _library(name):
    module, *path = name.split(".")
    found = {"torch": torch, "math": sys.modules["math"], "np": np}[module]
    for part in path:
        found = getattr(found, part)
    return found
