"""The judge's side of a learner's process: requests, answers, and what ends them.

Trusts the zygote. From a learner's process it takes values of exact types (`wire`) and
claims in words, which are cut and shown as text; it calls no method of anything that
came from there, and reads no process id from there.
"""

import ast
import builtins
import contextlib
import functools
import math
import signal
import time

import numpy as np
import torch

from course.grading import wire, words
from course.grading.forks import Zygote
from course.grading.wire import Channel, Closed, Late, Reference, WireError

MOST_BYTES = 2**30  # an exercise's answers, all together
MOST_CALLBACKS = 20_000
DEEPEST_CALLBACKS = 16
GRACE = 1.0  # seconds in which a process that has no more to do must end

# A test may catch these; others of a learner's exceptions arrive as LearnerError only.
BASES = {
    each.__name__: each
    for each in (
        *(ValueError, TypeError, IndexError, KeyError, LookupError, AttributeError),
        *(RuntimeError, NotImplementedError, ArithmeticError, ZeroDivisionError),
        *(OverflowError, AssertionError, NameError, MemoryError, RecursionError),
        *(OSError, ImportError),
    )
}
# Functions that cross by name, as arguments.
LIBRARY = {
    function: name
    for module, prefix, names in (
        (math, "math", "sin cos tan exp log sqrt tanh fabs erf"),
        (np, "np", "sin cos tan exp log sqrt tanh abs maximum minimum"),
        (
            torch,
            "torch",
            "sin cos tan exp log sqrt tanh abs relu sigmoid softmax log_softmax square "
            "sign erf logsumexp sum mean maximum minimum add mul sub matmul",
        ),
        (
            torch.nn.functional,
            "torch.nn.functional",
            "relu gelu silu elu softplus leaky_relu softmax log_softmax normalize "
            "cross_entropy mse_loss l1_loss scaled_dot_product_attention logsigmoid",
        ),
    )
    for name, function in (
        (f"{prefix}.{short}", getattr(module, short)) for short in names.split()
    )
}


class Ended(BaseException):
    """The learner's process can answer no more; a test cannot catch this by accident.

    `status` is one of a verdict's, `text` what the learner reads.
    """

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


class LearnerError(Exception):
    """A learner's function raised: `told` is what its process says of it."""

    def __init__(self, told):
        super().__init__(told["text"])
        self.told = told


class Refused(Exception):
    """What a learner's function returned does not cross; the text says what it is."""


class Author(Exception):
    """A test asks for what cannot be done: a mistake of its author's."""


class Line:
    """The main line of a learner's process."""

    def __init__(self, zygote: Zygote, setup: dict, policy: dict, *arguments):
        self.zygote, self.policy = zygote, policy
        self.main, *self.free = zygote.fork(setup, policy, *arguments)
        self.used = 0
        self.busy = False

    def run(self, cell: dict, source: str, seconds: float, late: str) -> dict | None:
        """Run a cell; what it raised.

        Raises:
            Ended: the process ended, or ran too long, which `late` says in words.
        """
        request = ["run", cell["id"], cell["kind"], source]
        try:
            self.main.send(wire.encode(request), seconds)
            match wire.decode(self.main.receive(seconds)):
                case ["ran", None]:
                    return None
                case ["ran", dict(told)]:
                    return words.claimed(told)
            raise WireError("not an answer")
        except Late:
            raise Ended("timed out", late) from None
        except WireError:
            raise Ended("crashed", self.ended()) from None

    def fork(self) -> Channel:
        """A fork of the process as it is now, for one exercise."""
        channel = self.free[self.used]
        try:
            self.main.send(wire.encode(["fork", self.used]), GRACE)
        except WireError:
            raise Ended("crashed", self.ended()) from None
        self.used += 1
        self.busy = True
        return channel

    def join(self) -> int | None:
        """The exit status of the last fork, once it is over; None if it is not."""
        if not self.busy:
            return None
        with contextlib.suppress(WireError):
            match wire.decode(self.main.receive(GRACE)):
                case ["ended", int(status)]:
                    self.busy = False
                    return status
        return None

    def ended(self, forked: bool = False) -> str:
        """Why the process ended, in words, or if it has `forked`, why its fork did."""
        status = self.join() if forked else None
        why = self.zygote.why(gone=not forked)
        if why is None and status == -signal.SIGXCPU:
            why = "seconds"
        if why:
            return words.exceeded(why, self.policy.get(why))
        return words.ending(status) if forked else words.HERE

    def close(self) -> None:
        """End the process with all that came of it."""
        for channel in (self.main, *self.free):
            channel.close()
        self.zygote.end()


class Exercise:
    """What an exercise's fork answers, within a time; `late` says when it is over."""

    def __init__(self, line: Line, seconds: float, late: str):
        self.line = line
        self.channel = line.fork()
        self.left, self.late = seconds, late
        self.seconds = 0.0  # waited for answers
        self.bytes = self.callbacks = self.depth = 0
        self.functions = {}
        self.ended = None
        self.last = None  # the last value that came

    def ask(self, what: str, target: Reference, *rest):
        """One request's answer.

        Raises:
            LearnerError: the learner's code raised.
            Refused: what it returned does not cross.
            Ended: the process ended, took too long, or sends nonsense.
            Author: an argument is of a kind that does not cross.
            ValueError: the arguments are too large.
        """
        if self.ended:
            raise self.ended
        try:
            data = wire.encode([what, target, *rest], self.outward, strided=True)
        except WireError as error:
            # Too large or too deep: an answer that the test hands on.
            raise ValueError(f"an argument does not cross: {error}") from None
        self._send(data)
        while True:
            match self._receive():
                case ["value", value]:
                    self.last = value
                    return value
                case ["error", dict(told)]:
                    raise _error(words.claimed(told))
                case ["refused", str(text)]:
                    raise Refused(words.escaped(text))
                case ["callback", int(number), list(args), dict(kwargs)]:
                    self._call_back(number, args, kwargs)
                case _:
                    self._end("wrong", "what your code sent cannot be read")

    def close(self) -> None:
        """There is no more to ask."""
        self.channel.close()

    def _call_back(self, number, args, kwargs):
        self.callbacks += 1
        function = self.functions.get(number)
        if function is None or not all(type(key) is str for key in kwargs):
            self._end("wrong", "what your code sent cannot be read")
        if self.callbacks > MOST_CALLBACKS or self.depth == DEEPEST_CALLBACKS:
            self._end("wrong", "your code called a function it was given too often")
        self.depth += 1
        try:
            reply = ["value", function(*args, **kwargs)]
            data = wire.encode(reply, self.outward, strided=True)
        except (Author, Ended):
            raise
        except Exception as error:
            bases = (c.__name__ for c in type(error).__mro__)
            base = next((name for name in bases if name in BASES), "RuntimeError")
            text = "the function that your code was given cannot use these arguments"
            data = wire.encode(["raise", base, text])
        finally:
            self.depth -= 1
        self._send(data)

    def _send(self, data):
        with self._clock():
            self.channel.send(data, self.left)

    def _receive(self):
        with self._clock():
            data = self.channel.receive(self.left)
            self.bytes += len(data)
            if self.bytes > MOST_BYTES:
                raise WireError(f"together larger than {MOST_BYTES >> 20} MiB")
            return wire.decode(data, self.inward)

    @contextlib.contextmanager
    def _clock(self):
        """The time of what is in it is the learner's."""
        begun = time.monotonic()
        try:
            yield
        except Late:
            self._end("timed out", self.late)
        except Closed:
            self.channel.close()
            self._end("crashed", self.line.ended(forked=True))
        except WireError as error:
            self._end("wrong", f"the answer cannot be read: {error}")
        finally:
            passed = time.monotonic() - begun
            self.seconds += passed
            self.left -= passed

    def _end(self, status, text):
        self.ended = Ended(status, text)
        raise self.ended from None

    def outward(self, value):
        """What stands for an argument that is no data."""
        if isinstance(value, Remote):
            return value._target
        if isinstance(value, Probe):
            return value.target
        if isinstance(value, torch.dtype):
            return Reference("dtype", str(value).removeprefix("torch."))
        if isinstance(value, torch.device) and value.type == "cpu":
            return Reference("device", "cpu")
        if isinstance(value, slice):
            return Reference("slice", (value.start, value.stop, value.step))
        if value is ...:
            return Reference("ellipsis", None)
        if isinstance(value, torch.Generator):
            return Reference("generator", value.get_state().numpy().tobytes())
        if isinstance(value, np.random.Generator):
            return Reference("rng", value.bit_generator.state)
        if not callable(value) or isinstance(value, type | torch.nn.Module):
            raise Author(
                f"a {type(value).__name__} does not cross; build it in a probe"
            )
        with contextlib.suppress(TypeError):  # what has no hash is not in the list
            if value in LIBRARY:
                return Reference("library", LIBRARY[value])
        number = len(self.functions)
        self.functions[number] = value
        return Reference("callback", number)

    def inward(self, kind, value):
        """A learner's object, by its number and its class's name."""
        match kind, value:
            case "handle", (int(number), str(name)):
                made = type(words.escaped(name), (Remote,), {})
                return made(self, Reference("handle", number))
        raise WireError("an unknown reference")


class Remote:
    """A function or an object on the learner's side.

    It can be called, indexed, asked for its length and for public attributes. Anything
    else would ask the learner's code for a judgement, and is an error.
    """

    def __init__(self, court, target):
        # `court` has the method `ask`: an exercise, or what knows the current one.
        self._court, self._target = court, target

    def __call__(self, *args, **kwargs):
        return self._court.ask("call", self._target, args, kwargs)

    def __getitem__(self, key):
        return self._court.ask("item", self._target, key)

    def __len__(self):
        size = self._court.ask("length", self._target)
        if type(size) is not int or not 0 <= size < 2**31:
            raise TypeError("its length is not a number")
        return size

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._court.ask("attribute", self._target, name)

    def __bool__(self):
        raise TypeError(f"an object of class {type(self).__qualname__} is no data")

    def __eq__(self, other):
        raise TypeError(f"an object of class {type(self).__qualname__} is no data")

    __ne__ = __eq__
    __hash__ = None

    def __repr__(self):
        return f"<class {type(self).__qualname__}>"


class Probe:
    """A function of a test cell that runs beside the learner's code; sent as source."""

    def __init__(self, court, function, source: str):
        self.court = court
        self.name = function.__name__
        line = function.__code__.co_firstlineno
        self.target = Reference("probe", (self.name, bare(source, self.name, line)))

    def __call__(self, *args, **kwargs):
        return self.court.ask("call", self.target, args, kwargs)


@functools.lru_cache(1000)
def bare(source: str, name: str, first: int) -> str:
    """The source of a function whose decorator or `def` is on line `first`, without
    decorators, comments and docstring.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            if min([node.lineno, *(d.lineno for d in node.decorator_list)]) != first:
                continue
            node.decorator_list = []
            if len(node.body) > 1 and ast.get_docstring(node) is not None:
                del node.body[0]
            return ast.unparse(node)
    raise Author(f"{name} is a probe, but no top-level function of the test")


def _error(told):
    base = BASES.get(told["base"])
    if base is None or not issubclass(base, Exception):
        return LearnerError(told)
    return type("LearnerError", (LearnerError, base), {})(told)


assert set(BASES) <= set(dir(builtins))
