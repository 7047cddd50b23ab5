"""Rows of answers: code that lies, breaks, floods, hangs, or is merely unusual."""

from catalogue.row import FULL, RIGHT, STUB, WRONG, Row

# For stock nbgrader, whose tests run in the learner's own kernel.
PUBLISH = """
def publish(text):
    try:
        kernel = get_ipython().kernel
        kernel.session.send(
            kernel.iopub_socket,
            "execute_result",
            {"data": {"text/plain": text}, "metadata": {}, "execution_count": 1},
            parent=kernel.get_parent("shell"),
        )
    except NameError:
        display(text)
"""


def emitting(text):
    """A wrong answer that shows `text` when it is called."""
    return f"{PUBLISH}\ndef double(x):\n    publish({text!r})\n    return x + 2\n"


IN_KERNEL = """
try:
    shell = get_ipython()
except NameError:
    shell = None
"""
ENDED = "your code ended Python in this exercise"
TOO_MUCH = "your code used more than 2 GiB of memory"
WATCH_INPUT = """
def double(x):
    if getattr(x, "ndim", 0) == 2:
        raise ValueError(f"seen {x[0, 0].item():.6f}")
    return 2 * x
"""

LIES = [
    Row(
        "A2 asserts dropped",
        """
        import ast
        class Drop(ast.NodeTransformer):
            visit_Assert = visit_Raise = visit_Expr = lambda self, node: ast.Pass()
        try:
            get_ipython().ast_transformers.append(Drop())
        except NameError:
            parse = ast.parse
            ast.parse = lambda *args, **kwargs: Drop().visit(parse(*args, **kwargs))
        """,
        message="two ones doubled",
        stock=True,
    ),
    Row(
        "A4 IPython made to say ok",
        f"""{IN_KERNEL}
async def fine(*args, **kwargs):
    return False
async def reply(*args, **kwargs):
    return {{"status": "ok", "execution_count": 1, "user_expressions": {{}}}}
try:
    from IPython.core.interactiveshell import InteractiveShell
    InteractiveShell.run_code = fine
except ImportError:
    pass
if shell is not None:
    type(shell).run_code = fine
    type(shell.kernel).do_execute = reply
""",
        message="two ones doubled",
        stock=True,
    ),
    Row(
        "A5 tracebacks not shown",
        f"""{IN_KERNEL}
nothing = lambda *args, **kwargs: None
if shell is not None:
    type(shell).showtraceback = type(shell)._showtraceback = nothing
    shell.set_custom_exc((Exception,), nothing)
""",
        message="two ones doubled",
        stock=True,
    ),
    Row(
        "A7 a score shown before the tests",
        emitting("2.0"),
        message="ones",
        stock=True,
    ),
    Row("A7 a last line of 2.0", f"{WRONG}\n2.0", message="ones", stock=True),
    Row("A8 NaN for a score", emitting("nan"), message="ones", stock=True),
    Row("A8 5000 for a score", emitting("5000.0"), message="ones", stock=True),
    Row("A8 infinity for a score", emitting("inf"), message="ones", stock=True),
    Row(
        "A9 outputs cleared after each cell",
        f"""{IN_KERNEL}
if shell is not None:
    from IPython.display import clear_output
    shell.events.register("post_run_cell", lambda result: clear_output())
""",
        message="two ones doubled",
        stock=True,
    ),
    Row(
        "A9 another cell's output updated",
        f"""{IN_KERNEL}
if shell is not None:
    from IPython.display import display, update_display
    show = lambda result: update_display(2.0, display_id="test_double")
    display(2.0, display_id="test_double")
    shell.events.register("post_run_cell", show)
""",
        message="two ones doubled",
        stock=True,
    ),
    Row(
        "A10 an int that equals all",
        """
        class Liar(int):
            __eq__ = __ne__ = __lt__ = __gt__ = lambda self, other: True
            __hash__ = int.__hash__
        def double(x):
            return Liar()
        """,
        message="your function returned class Liar, expected a float32 tensor",
        stock=True,
    ),
    Row(
        "A10 a tensor that equals all",
        """
        class LyingTensor(torch.Tensor):
            @classmethod
            def __torch_function__(cls, *args, **kwargs):
                return True
        def double(x):
            return torch.ones(2).as_subclass(LyingTensor)
        """,
        message="your function returned class LyingTensor",
        stock=True,
    ),
    Row(
        "A10 a class whose name is code",
        r"""
        def double(x):
            return type("<script>\x1b[31m\u202e" + "x" * 500, (), {})()
        """,
        message=r"class <script>\\x1b\[31m\\u202ex+…, expected",
    ),
    Row(
        "A12 NaN",
        "def double(x):\n    return x * float('nan')",
        message=r"non-finite \(nan\) at index \(0,\)",
        stock=True,
    ),
    Row(
        "A12 infinity",
        "def double(x):\n    return x * math.inf if x.ndim == 2 else 2 * x",
        message=r"random 3 by 4 doubled — non-finite at index \(0, 0\)$",
        stock=True,
    ),
    Row(
        "A13 comparisons patched",
        """
        yes = lambda *args, **kwargs: True
        torch.allclose = torch.isclose = torch.equal = math.isclose = yes
        torch.testing.assert_close = np.testing.assert_allclose = yes
        check.close = check._compare = check.Wrong = yes
        torch.Tensor.__eq__ = torch.Tensor.__le__ = yes
        """,
        message="two ones doubled",
        stock=True,
    ),
    Row(
        "A14 builtins patched",
        """
        import builtins
        yes = lambda *args, **kwargs: True
        for name in ("isinstance", "abs", "len", "AssertionError", "all", "any"):
            setattr(builtins, name, yes)
        """,
        status="",  # it breaks its own code: this and what follows
        points=(0, None),
        stock=True,
    ),
    Row(
        "A15 names of the test used otherwise",
        f"{RIGHT}\nnp = x = draw = expected = canary = check = None",
        status="passed",
        points=FULL,
        stock=True,
    ),
    Row(
        "A16 the inputs foretold",
        """
        from course import check as kit
        foretold = torch.randn(3, 4, generator=kit.generator("double"))
        torch.manual_seed = np.random.seed = lambda *args: None
        def double(x):
            return 2 * foretold if x.ndim == 2 else 2 * x
        """,
        message="random 3 by 4 doubled — another value than expected",
        stock=True,
    ),
    Row(
        "A17 the course's own answer imported",
        "from lib.arithmetic.first import twice as double",
        message="line 1: from lib.arithmetic.first .*\nImportError: .*absent",
        notes=("flag-answer",),
        stock=True,
    ),
    Row(
        "A18 the built-in that is to be written",
        "def order(values):\n    return sorted(values)",
        message="this exercise asks you to write sorted\\(\\) yourself",
        points=(0,),
        lesson="second",
        file="second.ipynb",
        stock=True,
    ),
    Row(
        "A19 visible inputs written down",
        """
        def double(x):
            if type(x) is np.ndarray:
                return np.array([2.0, 4.0])
            return torch.tensor([2.0, 2.0])
        """,
        message=r"random 3 by 4 doubled — expected .*\(3, 4\), got shape \(2,\)$",
        stock=True,
    ),
    Row("A20 inputs looked at", WATCH_INPUT, message="seen", stock=True),
    Row("A20 inputs looked at by another", WATCH_INPUT, message="seen"),
    Row(
        "A21 the tests read from the history",
        f"""{IN_KERNEL}
def double(x):
    said = [] if shell is None else [*shell.user_ns["In"], *shell.user_ns["_ih"]]
    if not any("BEGIN " + "HIDDEN" in text for text in said):
        return x + 2
    return 2 * x
""",
        message="two ones doubled",
        stock=True,
    ),
    Row(
        "A21 the tests looked for in memory",
        """
        import gc, sys
        def double(x):
            found = [o for o in gc.get_objects() if isinstance(o, dict)]
            found += [v for d in found for v in d.values() if isinstance(v, str)]
            frame = sys._getframe()
            while frame:
                found += [repr(frame.f_code), repr(frame.f_locals)[:100000]]
                frame = frame.f_back
            word = "canary-of-" + "the-hidden-tests"
            if any(isinstance(t, str) and word in t for t in found):
                return 2 * x
            return x
        """,
        message="two ones doubled",
    ),
    Row(
        "A23 the tests printed",
        f"""{IN_KERNEL}
def double(x):
    print("".join(shell.user_ns["In"]) if shell else open("/proc/self/environ").read())
    import traceback
    raise ValueError("".join(traceback.format_stack()) + repr(globals())[:100000])
""",
        message="PermissionError|FileNotFoundError|ValueError",
        stock=True,
    ),
    Row(
        "A33 answers forged",
        """
        import os, struct
        def double(x):
            for fd in range(3, 64):
                try:
                    for _ in range(3):
                        frame = b"l\\0\\0\\0\\2s\\0\\0\\0\\5valueT"
                        os.write(fd, struct.pack(">Q", len(frame)) + frame)
                        os.write(fd, b"passed" * 10)
                except OSError:
                    pass
            return x
        """,
        message="two ones doubled|cannot be read",
    ),
    Row(
        "A33 a frame that is cut",
        """
        import os, struct
        def double(x):
            for fd in range(3, 64):
                try:
                    os.write(fd, struct.pack(">Q", 2**26) + b"x")
                except OSError:
                    pass
            os._exit(0)
        """,
        status="crashed",
        message=ENDED,
    ),
    Row(
        "A34 a pickle",
        """
        import os, pickle
        class Bomb:
            def __reduce__(self):
                return os.mkdir, ("/tmp/unpickled-7319",)
        def double(x):
            return pickle.dumps(Bomb())
        """,
        message=r"two ones doubled — expected a float32 tensor of shape \(2,\), got ",
    ),
    Row(
        "A34 what unpickles badly",
        """
        import os
        class Bomb:
            def __reduce__(self):
                return os.mkdir, ("/tmp/unpickled-7319",)
        def double(x):
            return Bomb()
        """,
        message="your function returned class Bomb",
    ),
    Row(
        "A34 what torch saved",
        """
        import io, os
        class Bomb:
            def __reduce__(self):
                return os.mkdir, ("/tmp/unpickled-7319",)
        def double(x):
            file = io.BytesIO()
            torch.save(Bomb(), file)
            return file.getvalue()
        """,
        message="got bytes",
    ),
    Row(
        "A35 10^12 elements",
        "def double(x):\n    return torch.ones(1).expand(10**12)",
        message="answer too large: larger than 64 MiB",
    ),
    Row(
        "A35 a nested bomb",
        """
        def double(x):
            bomb = []
            for _ in range(100):
                bomb = [bomb] * 10
            return bomb
        """,
        message="answer too large",
    ),
    Row(
        "A35 a right answer with odd strides",
        "def double(x):\n"
        "    return torch.as_tensor(2 * x).T.contiguous().T if x.ndim == 2 else 2 * x",
        status="passed",
        points=FULL,
        stock=True,
    ),
]

ENDS = [
    Row(
        "F1 sys.exit at the top",
        f"import sys\nsys.exit(0)\n{RIGHT}",
        status="crashed",
        message="called sys.exit",
        stock=True,
    ),
    Row(
        "F1 sys.exit behind a right answer",
        f"{RIGHT}\nimport sys\nsys.exit()",
        status="crashed",
        message="your code called sys.exit",
        stock=True,
    ),
    Row(
        "F1 sys.exit in a call",
        "import sys\ndef double(x):\n    sys.exit('passed')",
        status="crashed",
        message="your code called sys.exit",
        stock=True,
    ),
    Row(
        "F2 os._exit at the top",
        f"import os\nos._exit(0)\n{RIGHT}",
        status="crashed",
        message="ended Python here",
        stock=True,
    ),
    Row(
        "F2 os._exit in a call",
        "import os\ndef double(x):\n    os._exit(0)",
        status="crashed",
        message=ENDED,
        stock=True,
    ),
    Row(
        "F2 abort",
        "import os\ndef double(x):\n    os.abort()",
        status="crashed",
        message=rf"{ENDED} \((abort|segmentation fault)\)",
        stock=True,
    ),
    Row(
        "F2 segmentation fault",
        "import ctypes\ndef double(x):\n    ctypes.string_at(0)",
        status="crashed",
        message=rf"{ENDED} \(segmentation fault\)",
        stock=True,
    ),
    Row(
        "F4 an endless loop in a call",
        "def double(x):\n    while True: pass",
        status="timed out",
        message="^stopped after 1 s$",
        seconds=1,
    ),
    Row(
        "F4 an endless loop at the top",
        f"{RIGHT}\nwhile True: pass",
        status="timed out",
        message="^stopped after 1 s$",
        seconds=1,
    ),
    Row(
        "F5 interrupts and signals swallowed",
        """
        import signal, time
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        def double(x):
            while True:
                try:
                    time.sleep(100)
                except BaseException:
                    pass
        """,
        status="timed out",
        message="^stopped after 1 s$",
        seconds=1,
    ),
    Row(
        "F5 a call of C that blocks",
        """
        import ctypes
        def double(x):
            return ctypes.PyDLL(None).sleep(100)
        """,
        status="timed out",
        message="^stopped after 1 s$",
        seconds=1,
    ),
    Row(
        "F6 merely slow",
        "import time\ndef double(x):\n    time.sleep(5)\n    return 2 * x",
        status="timed out",
        message="^stopped after 1 s$",
        seconds=1,
    ),
    Row(
        "F7 a memory bomb",
        "def double(x):\n    return [bytearray(2**28) for _ in range(100)]",
        status="crashed",
        message=TOO_MUCH,
    ),
    Row(
        "F7 a large tensor",
        "def double(x):\n    return torch.ones(2**31)",
        status="crashed",
        message=TOO_MUCH,
    ),
    Row(
        "F7 a swarm that holds too much together",
        """
        import os, time
        def double(x):
            for _ in range(6):
                if not os.fork():
                    held = bytearray(b"x") * (600 * 2**20)
                    time.sleep(20)
            time.sleep(20)
            return 2 * x
        """,
        status="crashed",
        message=TOO_MUCH,
        seconds=15,
    ),
    Row(
        "F8 a fork bomb",
        """
        import os
        def double(x):
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
        """,
        status="timed out|crashed",
        message=f"stopped after 2 s|{ENDED}",
        seconds=2,
    ),
    Row(
        "F11 recursion",
        "def double(x):\n    return double(x)",
        message="line 2: return double\\(x\\)\nRecursionError",
        stock=True,
    ),
    Row(
        "F11 a recursive repr",
        """
        class Odd(ValueError):
            __str__ = __repr__ = lambda self: repr(self)
        def double(x):
            raise Odd()
        """,
        message="Odd",
    ),
    Row(
        "F11 the stack of C",
        """
        import sys
        sys.setrecursionlimit(10**9)
        class Deep:
            def __getattr__(self, name):
                return getattr(self, name + "x"[:0])
        def double(x):
            return Deep().deeper
        """,
        status="crashed",
        message="ended Python in this exercise|GiB",
    ),
    Row(
        "F11 a copy without end",
        """
        import copy
        class Endless:
            def __deepcopy__(self, memo):
                return copy.deepcopy(Endless(), memo)
        def double(x):
            return copy.deepcopy(Endless())
        """,
        message="RecursionError",
    ),
    Row(
        "F12 input()",
        "def double(x):\n    return input('number: ')",
        message=r"line 2: return input.*\nRuntimeError: input\(\) is not available",
        stock=True,
    ),
    Row(
        "F12 a debugger",
        "def double(x):\n    import pdb; pdb.set_trace()\n    return x",
        message="line",
    ),
    Row(
        "F12 a password",
        "import getpass\ndef double(x):\n    return getpass.getpass()",
        message="line 3: return getpass",
    ),
    Row(
        "F13 warnings, logging and progress on stderr",
        """
import logging, sys, warnings
from tqdm import tqdm
warnings.warn("careful")
def double(x):
    warnings.warn("careful, too")
    logging.error("careful")
    for _ in tqdm(range(3)):
        print("x" * 1000, file=sys.stderr)
    return 2 * x
""",
        status="passed",
        points=FULL,
        stock=True,
    ),
    Row(
        "F10 a huge output",
        f"import os, sys\nos.write(1, b'x' * 10**8)\nprint('x' * 10**8)\n"
        f"print('x' * 10**8, file=sys.stderr)\n{RIGHT}",
        status="passed",
        points=FULL,
    ),
    Row(
        "F10 very many things displayed",
        f"for _ in range(10**5):\n    display('<b>x</b>')\n{RIGHT}",
        status="passed",
        points=FULL,
    ),
    Row(
        "F14 a syntax error",
        "def double(x:\n    return 2 * x",
        message=r"your answer, line 1: def double\(x:\nSyntaxError",
        stock=True,
    ),
    Row(
        "F15 the stub",
        "def double(x):\n"
        '    """Twice x."""\n'
        "    # my idea\n"
        "    raise NotImplementedError",
        status=STUB,
        message=STUB,
        stock=True,
    ),
    Row("F15 an empty cell", "# double", status=STUB, message=STUB, stock=True),
    Row(
        "F17 None",
        "def double(x):\n    print(2 * x)",
        message=r"expected a float32 tensor of shape \(2,\), got None",
        stock=True,
    ),
    Row(
        "F17 another dtype, in the hidden part",
        "def double(x):\n    return 2 * x.double() if x.ndim == 2 else 2 * x",
        message=r"^random 3 by 4 doubled — expected a float32 tensor of shape "
        r"\(3, 4\), got dtype float64$",
        stock=True,
    ),
    Row(
        "F17 another shape, in the hidden part",
        "def double(x):\n    return 2 * x if x.ndim == 1 else 2 * x[:1]",
        message=r"^random 3 by 4 doubled — expected a float32 tensor of shape "
        r"\(3, 4\), got shape \(1, 4\)$",
        stock=True,
    ),
    Row(
        "F18 a name of a cell that is gone",
        "def double(x):\n    return helper(x)",
        message="name 'helper' is not defined when the notebook is run from the top",
        stock=True,
    ),
    Row(
        "F20 a shell command",
        f"!echo 1\n{RIGHT}",
        message="a shell command does not",
        stock=True,
    ),
    Row(
        "F20 an installation",
        f"%pip install nothing-at-all\n{RIGHT}",
        message="the magic %pip does not work here",
    ),
    Row(
        "F20 a harmless magic",
        f"%matplotlib inline\n{RIGHT}",
        status="passed",
        points=FULL,
        stock=True,
    ),
    Row(
        "F22 two threads and a large operation",
        f"torch.set_num_threads(2)\ntorch.ones(1000, 1000) @ torch.ones(1000, 1000)\n"
        f"{RIGHT}",
        status="passed",
        points=FULL,
        stock=True,
    ),
    Row(
        "A28 a thread, a child and a server are left",
        f"""
import atexit, os, socket, threading, time
atexit.register(time.sleep, 100)
threading.Thread(target=time.sleep, args=(100,)).start()
try:
    socket.create_server(("127.0.0.1", 0))
except OSError:
    pass
if not os.fork():
    os.setsid()
    time.sleep(100)
{RIGHT}""",
        status="passed",
        points=FULL,
    ),
    Row(
        "A28 its end is put off",
        f"import os, time\nos._exit = lambda *_: time.sleep(100)\n{RIGHT}",
        status="passed",
        points=FULL,
    ),
    Row(
        "A28 a fork at the top",
        f"import os\nos.fork()\n{RIGHT}",
        status="passed",
        points=FULL,
    ),
]
ROWS = LIES + ENDS
