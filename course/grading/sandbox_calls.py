"""System calls by number on x86_64 and aarch64 (None: it does not exist there)."""

# fmt: off
# What a learner's process may call with any argument. Everything else is refused:
# sockets, namespaces, mounts, other processes, programs, keys, shared memory, io_uring,
# perf, and whatever changes the mode, owner, times or attributes of a file.
FREE = {
    "access": (21, None), "alarm": (37, None), "arch_prctl": (158, None),
    "brk": (12, 214), "chdir": (80, 49), "clock_getres": (229, 114),
    "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "close": (3, 57),
    "close_range": (436, 436), "copy_file_range": (326, 285), "creat": (85, None),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_pwait": (281, 22),
    "epoll_wait": (232, None), "eventfd2": (290, 19), "exit": (60, 93),
    "exit_group": (231, 94), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fadvise64": (221, 223), "fallocate": (285, 47), "fchdir": (81, 50),
    "fdatasync": (75, 83), "flock": (73, 32), "fork": (57, None), "fstat": (5, 80),
    "fstatfs": (138, 44), "fsync": (74, 82), "ftruncate": (77, 46), "futex": (202, 98),
    "futex_waitv": (449, 449), "getcpu": (309, 168), "getcwd": (79, 17),
    "getdents": (78, None), "getdents64": (217, 61), "getegid": (108, 177),
    "geteuid": (107, 175), "getgid": (104, 176), "getgroups": (115, 158),
    "getitimer": (36, 102), "getpgid": (121, 155), "getpgrp": (111, None),
    "getpid": (39, 172), "getppid": (110, 173), "getpriority": (140, 141),
    "getrandom": (318, 278), "getresgid": (120, 150), "getresuid": (118, 148),
    "getrlimit": (97, 163), "getrusage": (98, 165), "getsid": (124, 156),
    "gettid": (186, 178), "gettimeofday": (96, 169), "getuid": (102, 174),
    "link": (86, None), "linkat": (265, 37), "lseek": (8, 62), "lstat": (6, None),
    "madvise": (28, 233), "membarrier": (324, 283), "mincore": (27, 232),
    "mkdir": (83, None), "mkdirat": (258, 34), "mprotect": (10, 226),
    "mremap": (25, 216), "msync": (26, 227), "munmap": (11, 215),
    "nanosleep": (35, 101), "newfstatat": (262, 79), "open": (2, None),
    "openat": (257, 56), "pause": (34, None), "pipe": (22, None), "pipe2": (293, 59),
    "poll": (7, None), "ppoll": (271, 73), "pread64": (17, 67), "preadv": (295, 69),
    "preadv2": (327, 286), "pselect6": (270, 72), "pwrite64": (18, 68),
    "pwritev": (296, 70), "pwritev2": (328, 287), "read": (0, 63),
    "readlink": (89, None), "readlinkat": (267, 78), "readv": (19, 65),
    "recvfrom": (45, 207), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "restart_syscall": (219, 128), "rmdir": (84, None),
    "rseq": (334, 293), "rt_sigaction": (13, 134), "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137), "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126), "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_yield": (24, 124), "select": (23, None), "sendfile": (40, 71),
    "set_robust_list": (273, 99), "set_tid_address": (218, 96), "setitimer": (38, 103),
    "setpgid": (109, 154), "setrlimit": (160, 164), "setsid": (112, 157),
    "shutdown": (48, 210), "sigaltstack": (131, 132), "stat": (4, None),
    "statfs": (137, 43), "statx": (332, 291), "sysinfo": (99, 179), "time": (201, None),
    "timer_create": (222, 107), "timer_delete": (226, 111),
    "timer_getoverrun": (225, 109), "timer_gettime": (224, 108),
    "timer_settime": (223, 110), "times": (100, 153), "truncate": (76, 45),
    "umask": (95, 166), "uname": (63, 160), "unlink": (87, None), "unlinkat": (263, 35),
    "vfork": (58, None), "wait4": (61, 260), "waitid": (247, 95), "write": (1, 64),
    "writev": (20, 66),
}

# What it may call with some arguments only; `sandbox_kernel` says with which.
BOUND = {
    "clone": (56, 220), "clone3": (435, 435), "fcntl": (72, 25), "ioctl": (16, 29),
    "mmap": (9, 222), "prctl": (157, 167), "prlimit64": (302, 261), "sendto": (44, 206),
    "tgkill": (234, 131),
}

# What the sandbox itself calls by number, since the C library has no function for it.
OWN = {
    "capset": (126, 91), "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444), "landlock_restrict_self": (446, 446),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "open_tree": (428, 428),
    "pivot_root": (155, 41), "seccomp": (317, 277),
}

# What the canaries call to see it refused.
REFUSED = {
    "add_key": (248, 217), "bpf": (321, 280), "execve": (59, 221), "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchown": (93, 55), "fchownat": (260, 54),
    "finit_module": (313, 273), "init_module": (175, 105), "io_uring_setup": (425, 425),
    "kexec_load": (246, 104), "keyctl": (250, 219), "kill": (62, 129),
    "memfd_create": (319, 279), "mount": (165, 40), "mq_open": (240, 180),
    "msgget": (68, 186), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "reboot": (169, 142),
    "semget": (64, 190), "setns": (308, 268), "setxattr": (188, 5), "shmget": (29, 194),
    "socket": (41, 198), "socketpair": (53, 199), "swapon": (167, 224),
    "unshare": (272, 97), "userfaultfd": (323, 282), "utimensat": (280, 88),
}
# fmt: on
