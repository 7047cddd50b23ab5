"""What a process gives up, in the kernel's own terms: limits, Landlock, seccomp.

`limit`, `landlock` and `seccomp` bind the process that calls them and all it forks, and
cannot be undone. Beside them: numbers from the kernel's headers, and ways to call it
that Python does not have. It trusts its caller, which is not hostile yet.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

from course.grading import sandbox_calls as calls

MIB = 2**20
# Read by libraries when they first ask for the processor.
PROCESSOR = ("/proc/cpuinfo", "/sys/devices/system/cpu")
DEVICES = ("/dev/null", "/dev/urandom")
DESCRIPTORS = 128
LEAST_LANDLOCK = 3  # the first that refuses to truncate

# From the kernel's headers.
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_GET_NAME = 1, 4, 15, 16
PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 24, 36, 38
PR_SET_VMA = 0x53564D41
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CLONE_PARENT, CLONE_NEWCGROUP = 0x8000, 0x2000000
SHARED, GROWS_DOWN = 0x1, 0x100  # of mmap

# Rights of Landlock; those of one file, and the level that first knew each kind.
FS_WRITE_FILE, FS_READ_FILE, FS_READ_DIR = 1 << 1, 1 << 2, 1 << 3
FS_REMOVE_DIR, FS_REMOVE_FILE, FS_MAKE_DIR, FS_MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
FS_REFER, FS_TRUNCATE = 1 << 13, 1 << 14
FS_ALL = {1: 2**13 - 1, 2: 2**14 - 1, 3: 2**15 - 1, 4: 2**15 - 1, 5: 2**16 - 1}
NET_ALL, SCOPE_ALL = 0b11, 0b11
FILE_RIGHTS = FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE
READ = FS_READ_FILE | FS_READ_DIR
WRITE = READ | FS_WRITE_FILE | FS_TRUNCATE | FS_REFER
WRITE |= FS_MAKE_REG | FS_MAKE_DIR | FS_REMOVE_FILE | FS_REMOVE_DIR

# The column of each machine in `calls`, and the kernel's name of its calls, as
# /usr/include/linux/audit.h has it.
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class SandboxError(Exception):
    """A layer could not be put up; the text says which, and why."""


# Limits


def limit(policy, base: int, tasks: int) -> None:
    """Resource limits of a `sandbox.Policy`; none of them can be raised again.

    Beside what it allows there are `base` bytes and `tasks` that are there already.
    """
    import resource

    limits = {
        "DATA": base + policy.memory,
        "FSIZE": policy.scratch,
        "NOFILE": DESCRIPTORS,
        "NPROC": tasks + policy.processes,
        "STACK": 8 * MIB,
        "CORE": 0,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
        "RTPRIO": 0,
        "NICE": 0,
    }
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    # The first ends it with SIGXCPU, the second, if that is caught, with SIGKILL.
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    most = policy.seconds + 1
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (min(policy.seconds, most), most))


# Landlock


def landlock_abi() -> int:
    """The version of the kernel's Landlock; 0 if there is none."""
    if libc is None or platform.machine() not in MACHINES:
        return 0
    found = libc.syscall(number("landlock_create_ruleset"), None, 0, 1)
    return max(found, 0)


def landlock(read, write) -> None:
    """From here on: read `read`, write `write`, no TCP, no signal to the outside."""
    abi = landlock_abi()
    rights = FS_ALL[min(abi, 5)]
    attributes = struct.pack("=Q", rights)
    if abi >= 4:
        attributes += struct.pack("=Q", NET_ALL)
    if abi >= 6:
        attributes += struct.pack("=Q", SCOPE_ALL)
    rules = call("landlock_create_ruleset", attributes, len(attributes), 0)
    allowed = [(path, READ) for path in read]
    allowed += [(path, READ) for path in (*PROCESSOR, "/dev/urandom")]
    allowed += [("/dev/null", FS_READ_FILE | FS_WRITE_FILE), (write, WRITE)]
    for path, right in allowed:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not os.path.isdir(path):
            right &= FILE_RIGHTS
        rule = struct.pack("=Qi", right & rights, place)
        call("landlock_add_rule", rules, 1, rule, 0)
        os.close(place)
    call("landlock_restrict_self", rules, 0)
    os.close(rules)


# seccomp

_KILL, _ERROR, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _JUMP_EQUAL, _JUMP_OVER, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NEWEST = 470  # numbers above are calls nobody here has read about
_FORBIDDEN_CLONE = (
    CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID
    | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_PARENT
)  # fmt: skip
# Copies, flags and locks of descriptors, not their owner or signal (F_SETOWN and
# F_SETSIG send any signal to any process of the same user).
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
# TCGETS (isatty), TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX.
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_PRCTL = (PR_SET_NAME, PR_GET_NAME, PR_SET_VMA)


def seccomp_filter(pid: int) -> bytes:
    """The filter as a program of the kernel's packet-filter machine.

    Every call not allowed fails with EPERM (ENOSYS where the C library then tries
    another way); a call by the rules of another machine kills. `pid` may signal itself,
    which is how a process aborts.
    """
    column, machine = MACHINES[platform.machine()]
    steps = []

    def add(code, value=0, yes=0, no=0):
        steps.append(struct.pack("=HBBI", code, yes, no, value))

    def answer(value):
        add(_RETURN, value)

    def on(name, *body):
        """If the call is `name`: run the steps of `body`, which end in an answer."""
        number = calls.BOUND[name][column]
        add(_JUMP_EQUAL, number, 0, len(body))
        for step in body:
            add(*step)

    def argument(index, high=False):
        return (_LOAD, 16 + 8 * index + 4 * high)

    refuse, allow = (_RETURN, _ERROR | errno.EPERM), (_RETURN, _ALLOW)

    def only(index, values):
        """Steps that allow the call if its argument `index` is one of `values`."""
        tests = [
            (_JUMP_EQUAL, value, len(values) - place, 0)
            for place, value in enumerate(values)
        ]
        return [argument(index), *tests, refuse, allow]

    add(_LOAD, 4)
    add(_JUMP_EQUAL, machine, 1, 0)
    answer(_KILL)
    add(_LOAD, 0)
    if machine == MACHINES["x86_64"][1]:  # the x32 way of calling
        add(_JUMP_OVER, 0x40000000, 0, 1)
        answer(_KILL)
    for numbers in calls.FREE.values():
        if numbers[column] is not None:
            add(_JUMP_EQUAL, numbers[column], 0, 1)
            answer(_ALLOW)
    # Its flags lie in memory, where no filter can see them.
    on("clone3", (_RETURN, _ERROR | errno.ENOSYS))
    on("clone", argument(0), (_JUMP_BITS, _FORBIDDEN_CLONE, 0, 1), refuse, allow)
    # Shared memory and stacks that grow are not counted as data; a file that is
    # mapped, closed and removed is not counted as scratch. (So no numpy.memmap.)
    on("mmap", argument(3), (_JUMP_BITS, SHARED | GROWS_DOWN, 0, 1), refuse, allow)
    on("fcntl", *only(1, _FCNTL))
    on("ioctl", *only(1, _IOCTL))
    on("prctl", *only(0, _PRCTL))
    on("prlimit64", *only(0, (0,)))
    on("tgkill", *only(0, (pid,)))
    on(
        "sendto",
        argument(4),
        (_JUMP_EQUAL, 0, 1, 0),
        refuse,
        argument(4, high=True),
        (_JUMP_EQUAL, 0, 1, 0),
        refuse,
        allow,
    )
    add(_JUMP_OVER, _NEWEST, 0, 1)
    answer(_ERROR | errno.ENOSYS)
    answer(_ERROR | errno.EPERM)
    return b"".join(steps)


def seccomp(pid: int) -> None:
    """Put the filter over all threads of this process, whose number is `pid`."""
    program = ctypes.create_string_buffer(seccomp_filter(pid))
    length = (len(program) - 1) // 8
    header = struct.pack("@HP", length, ctypes.addressof(program))
    call("seccomp", 1, 1, header)  # SET_MODE_FILTER, TSYNC


# Calls


def drop_capabilities() -> None:
    """Give up what a user of a namespace may do in it."""
    for number in range(64):
        if libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0):
            break
    header = struct.pack("=Ii", 0x20080522, 0)
    call("capset", header, bytes(24))


def prctl(option: int, value: int) -> None:
    """Set an option of this process."""
    c_call("prctl", option, value, 0, 0, 0)


def c_call(name: str, *arguments) -> int:
    """Call a function of the C library; raise SandboxError where it fails."""
    ctypes.set_errno(0)
    result = getattr(libc, name)(*arguments)
    if result < 0:
        raise SandboxError(f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def call(name: str, *arguments) -> int:
    """Call the kernel by number; raise SandboxError where it fails."""
    ctypes.set_errno(0)
    whole = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number(name)), *whole)
    if result < 0:
        raise SandboxError(f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def number(name: str) -> int:
    """The number of a system call on this machine."""
    for table in (calls.OWN, calls.FREE, calls.BOUND, calls.REFUSED):
        if name in table:
            return table[name][MACHINES[platform.machine()][0]]
    raise KeyError(name)
