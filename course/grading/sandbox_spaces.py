"""Where a learner's process lives: a user, namespaces, the files that exist for it.

Without namespaces, which a machine may not allow, only `drop`, `check_readable` and the
folders are used. It trusts its caller: all but `remove` runs before any learner's code.
"""

import functools
import os
import signal
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from course.grading import sandbox_kernel as kernel
from course.grading import sandbox_processes as processes
from course.grading.sandbox_kernel import MIB, SandboxError

# The user whom root becomes: one a zygote, known to no password file, so that limits
# and signals of two zygotes never meet. Where such a number is not mapped: nobody.
FIRST_UID, NOBODY = 900_000_000, 65534

# From the kernel's headers.
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = 1, 4


# Namespaces


def isolate(read: Sequence[Path], test: bool = False) -> tuple[int, int]:
    """Go on as the first process of new namespaces, in which nothing but `read` exists.

    Returns the zygote's `own_files`. With `test`, only see whether it works.
    """
    uid, gid = os.getuid(), os.getgid()
    if not test:
        check_readable(read)
    # Else a dropped root may not write its own maps.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    kinds = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID
    kinds |= kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    kernel.c_call("unshare", kinds)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    between, child = os.getpid(), os.fork()
    if child:
        if not test:
            processes.close_but({2})
        _, status = os.waitpid(child, 0)
        processes.end_like(status)
    try:
        # Seen from inside, the parent has no number: ask the kernel, then look.
        kernel.c_call("prctl", kernel.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        files = processes.own_files()
        alive = os.path.exists(f"/proc/{between}")
        _view(read)
        if test:
            own_scratch(Path("/tmp/scratch"), 256 * MIB, 1000)
            os._exit(0)
        if not alive:
            os._exit(1)
        return files
    except BaseException:
        if test:
            os._exit(1)
        raise


def _view(read, more=()):
    """Make a file system of this process's mounts in which only `read` exists."""
    kernel.c_call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    trees = []
    for path in [*read, *more]:
        real = os.path.realpath(path)
        flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE
        tree = kernel.call("open_tree", AT_FDCWD, os.fsencode(real), flags)
        attributes = MS_NOSUID
        if str(path) not in kernel.DEVICES and path not in more:
            attributes |= MS_RDONLY | MS_NODEV
        _set_mount(tree, attributes, AT_RECURSIVE)
        trees.append((path, real, tree))
    root = b"/tmp"
    _mount_tmpfs(root, "size=1m,nr_inodes=10k,mode=755", MS_NOSUID | MS_NODEV)
    for path, real, tree in sorted(trees, key=lambda tree: tree[1]):
        place = "/tmp" + real
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.makedirs(place, exist_ok=True)
        elif not os.path.exists(place):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o600))
        kernel.call(
            "move_mount", tree, b"", AT_FDCWD, os.fsencode(place),
            MOVE_MOUNT_F_EMPTY_PATH,
        )  # fmt: skip
        os.close(tree)
        if str(path) != real and not os.path.lexists(f"/tmp{path}"):
            os.makedirs(os.path.dirname(f"/tmp{path}"), exist_ok=True)
            os.symlink(real, f"/tmp{path}")
    os.makedirs("/tmp/tmp", exist_ok=True)
    os.chdir("/tmp")
    kernel.call("pivot_root", b".", b".")
    kernel.c_call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def own_scratch(write: Path, size: int, files: int) -> None:
    """A small tmpfs at `write`, for this process and what it forks only."""
    kernel.c_call("unshare", kernel.CLONE_NEWNS)
    os.makedirs(write, exist_ok=True)
    options = f"size={size},nr_inodes={files + 1},mode=700"
    _mount_tmpfs(os.fsencode(write), options, MS_NOSUID | MS_NODEV | MS_NOEXEC)
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    _set_mount(root, MS_RDONLY, 0)
    os.close(root)


def _mount_tmpfs(place, options, flags):
    kernel.c_call("mount", b"tmpfs", place, b"tmpfs", flags, options.encode())


def _set_mount(fd, attributes, recursive):
    change = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = AT_EMPTY_PATH | recursive
    kernel.call("mount_setattr", fd, b"", flags, change, len(change))


# Users


def free_uid(uid: int | None) -> int:
    """Whom root becomes: `uid`, by default a number of this process's own."""
    if uid == 0:
        raise SandboxError("root is not shut in by limits: name another user")
    return FIRST_UID + os.getpid() if uid is None else uid


def drop(uid: int, read: Sequence[Path], scratch: Sequence[Path]) -> None:
    """Give up root. What only root may reach of `read` is mounted where all may."""

    def mount():
        kernel.c_call("unshare", kernel.CLONE_NEWNS)
        _view(read, more=[Path("/proc"), *scratch])

    if processes.succeeds(mount):  # root of a container may not
        mount()
    try:
        os.setgroups([])
        try:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        except OSError:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as error:
        raise SandboxError(f"root cannot be given up: {error.strerror}") from error
    if 0 in (*os.getresuid(), *os.getresgid()):
        raise SandboxError("root cannot be given up")


def check_readable(read: Iterable[Path]) -> None:
    """Raise SandboxError for what this user cannot read."""
    for path in read:
        if not os.access(path, os.R_OK):
            raise SandboxError(f"uid {os.getuid()} cannot read {path}")


# Folders


@functools.cache
def libraries() -> tuple[Path, ...]:
    """What any Python with torch has to read: interpreter, packages, C libraries."""
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    found += [path for path in sysconfig.get_paths().values() if os.path.isdir(path)]
    found += ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"]
    found += ["/usr/share/zoneinfo", *kernel.PROCESSOR, *kernel.DEVICES]
    return tuple(Path(path) for path in dict.fromkeys(found) if os.path.exists(path))


def outermost(paths: Iterable[Path]) -> list[Path]:
    """`paths` without those that lie below another one, and without repeats."""
    kept = []
    for path in sorted({Path(os.path.abspath(path)) for path in paths}):
        real = Path(os.path.realpath(path))
        if path == real and any(
            other == real or other in real.parents
            for other in (Path(os.path.realpath(one)) for one in kept)
        ):
            continue
        kept.append(path)
    return kept


def remove(folder: Path) -> None:
    """Remove a learner's folder, whatever modes and depth it was left with."""
    if not folder.exists():
        return
    os.chmod(folder, 0o700)
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    moved = 0
    while names := os.listdir(top):
        for name in names:
            if not _is_folder(name, top):
                os.unlink(name, dir_fd=top)
                continue
            os.chmod(name, 0o700, dir_fd=top)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=top)
            for below in os.listdir(inner):
                if _is_folder(below, inner):  # up to the top: no path gets too long
                    os.chmod(below, 0o700, dir_fd=inner)
                    moved += 1
                    os.rename(below, f"\n{moved}", src_dir_fd=inner, dst_dir_fd=top)
                else:
                    os.unlink(below, dir_fd=inner)
            os.close(inner)
            os.rmdir(name, dir_fd=top)
    os.close(top)
    os.rmdir(folder)


def _is_folder(name, place):
    mode = os.stat(name, dir_fd=place, follow_symlinks=False).st_mode
    return stat.S_ISDIR(mode)
