"""Programs that try what a sandbox has to deny. Each returns what it managed, as plain values; for a sandbox only."""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)


def main(payload, channels):
    order = json.loads(payload)
    attack = globals()[order["name"]]
    with_channels = {"channels": channels} if attack in NEED_CHANNELS else {}
    print(json.dumps(attack(*order["args"], **with_channels)))


def tried(what, managed, attempt):
    """Note `what` as managed unless the attempt raises OSError."""
    try:
        result = attempt()
    except OSError:
        return None
    managed.append(what)
    return result


def syscall(*arguments):
    result = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def read(path, most=1 << 20):
    with open(path, "rb") as file:
        return file.read(most)


# --- what it knows of itself


def itself():
    def prctl(option, argument=0):
        return libc.prctl(option, argument, 0, 0, 0)

    head, data = ctypes.create_string_buffer(b"\x22\x05\x08\x20\0\0\0\0", 8), ctypes.create_string_buffer(24)
    libc.capget(head, data)
    fds = []
    for fd in range(2000):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            fds.append(fd)
    import resource

    return {
        "pid": os.getpid(),
        "uids": [*os.getresuid(), *os.getresgid()],
        "groups": os.getgroups(),
        "capabilities": data.raw != bytes(24),
        "bounding": [cap for cap in range(64) if prctl(23, cap) == 1],
        "ambient": [cap for cap in range(64) if libc.prctl(47, 1, cap, 0, 0) == 1],
        "no_new_privs": prctl(39),
        "dumpable": prctl(3),
        "seccomp": prctl(21),
        "core": list(resource.getrlimit(resource.RLIMIT_CORE)),
        "environment": sorted(os.environ),
        "fds": fds,
        "stdin": sys.stdin.read(),
        "cwd": os.getcwd(),
        "root": tried("list", [], lambda: sorted(os.listdir("/"))),
    }


def modules():
    """Lazily imported parts of the standard library, with shared libraries of the system behind them."""
    import asyncio
    import bz2
    import decimal
    import encodings.idna
    import hashlib
    import lzma
    import sqlite3
    import zlib
    import zoneinfo

    async def work():
        await asyncio.sleep(0)
        return sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0]

    data = zlib.compress(bz2.compress(lzma.compress(b"x")))
    names = [decimal.__name__, encodings.idna.__name__, hashlib.sha256(data).name, zoneinfo.__name__]
    return [asyncio.run(work()), *names]


def threads():
    found = []
    workers = [threading.Thread(target=found.append, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(found)


def pool():
    import multiprocessing

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=lambda n=n: queue.put(n * n)) for n in range(4)]
    for worker in workers:
        worker.start()
    found = sorted(queue.get() for _ in workers)
    for worker in workers:
        worker.join()
    return found


def argv():
    return sys.argv


# --- environment, files, processes of others


def environment(marker):
    managed = []
    if any(marker in value for value in os.environ.values()):
        managed.append("own environment")
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and marker.encode() in read(f"/proc/{name}/environ"):
                    managed.append("environment of another process")
                    break
    return managed


def memory_of(pid):
    managed = []
    tried("open its memory", managed, lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY)))
    tried("read its maps", managed, lambda: read(f"/proc/{pid}/maps"))
    tried("list its descriptors", managed, lambda: os.listdir(f"/proc/{pid}/fd"))
    buffer = ctypes.create_string_buffer(8)
    piece = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    number = {"x86_64": 310}.get(os.uname().machine, 270)
    with contextlib.suppress(OSError):
        syscall(number, pid, piece, 1, piece, 1, 0)
    if ctypes.get_errno() == errno.EFAULT:  # allowed, but nothing lies at that address there
        managed.append("copy its memory")
    return managed


def files(secret, outside):
    managed = []
    for path in ("/etc/shadow", "/etc/passwd", os.path.expanduser("~root/.profile"), secret):
        tried(f"read {path}", managed, lambda path=path: read(path))
    tried("list", managed, lambda: os.listdir(outside))
    for folder in (outside, "/var/tmp", "/dev/shm/..", os.path.dirname(os.__file__)):
        path = os.path.join(folder, f"sibling-attack-{os.getpid()}")

        def write(path=path):
            with open(path, "x") as file:
                file.write("x")
            os.unlink(path)

        tried(f"write in {folder}", managed, write)
    return managed


def attributes(path):
    managed = []
    tried("chmod", managed, lambda: os.chmod(path, 0o777))
    with contextlib.suppress(OSError), open(os.__file__) as file:  # may be read, so it can be held
        tried("chmod what is open", managed, lambda: os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode))
    tried("utime", managed, lambda: os.utime(path, (1, 1)))
    tried("truncate", managed, lambda: os.truncate(path, 1))
    tried("rename", managed, lambda: os.rename(path, path + ".moved"))
    tried("unlink", managed, lambda: os.unlink(path + ".moved" if os.path.exists(path + ".moved") else path))
    return managed


def links(secret, folder):
    """Symbolic and hard links in the temp directory, and one left behind that leads the cleaning astray."""
    managed = []
    os.symlink(secret, "link")
    os.symlink(folder, "astray")
    os.mkdir("deep")
    os.symlink(folder, "deep/astray")
    tried("read through a symbolic link", managed, lambda: read("link"))
    tried("write through a symbolic link", managed, lambda: open("astray/written", "x").close())
    tried("hard link", managed, lambda: os.link(secret, "hard"))
    tried("read through /proc/self/root", managed, lambda: read("/proc/self/root" + secret))
    tried("climb", managed, lambda: read("../" * 30 + secret.lstrip("/")))
    return managed


def proc():
    managed = []
    tried("read its own status", managed, lambda: read("/proc/self/status"))
    tried("read the first process's command", managed, lambda: read("/proc/1/cmdline"))
    tried("read the mounts", managed, lambda: read("/proc/mounts"))
    for name in ("kernel/core_pattern", "kernel/modprobe", "vm/overcommit_memory", "kernel/hostname"):
        tried(f"open {name} to write", managed, lambda name=name: os.close(os.open(f"/proc/sys/{name}", os.O_WRONLY)))
    tried("open sysrq-trigger", managed, lambda: os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY)))
    tried("list /sys", managed, lambda: os.listdir("/sys"))
    return managed


def kill(pid):
    managed = []
    tried("signal the parent", managed, lambda: os.kill(os.getppid(), 0) if os.getppid() > 1 else os.kill(pid, 0))
    tried("pidfd", managed, lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 0))
    tried("kill", managed, lambda: os.kill(pid, signal.SIGKILL))
    return managed


def renice(pid):
    managed = []
    tried("renice", managed, lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
    tried("pin", managed, lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid)))
    return managed


def trace(pid):
    managed = []

    def ptrace(request):
        if libc.ptrace(request, pid, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), "")

    tried("seize", managed, lambda: ptrace(0x4206))
    tried("trace me", managed, lambda: libc.ptrace(0, 0, 0, 0) and ptrace(0))
    tried("take a descriptor", managed, lambda: syscall(438, os.pidfd_open(pid), 0, 0))
    return managed


# --- network


def network(port, datagram_port, abstract, path):
    managed = []

    def tcp():
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            link.sendall(b"tcp")

    def udp():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.sendto(b"udp", ("127.0.0.1", datagram_port))

    def unix(address):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(address)

    def listen():
        with socket.socket() as link:
            link.bind(("127.0.0.1", 0))
            link.listen()

    def netlink():
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
            link.bind((0, 0))

    def bind_abstract():
        with socket.socket(socket.AF_UNIX) as link:
            link.bind(f"\0sibling-attack-{os.getpid()}")

    tried("tcp", managed, tcp)
    tried("udp", managed, udp)
    tried("abstract", managed, lambda: unix("\0" + abstract))
    tried("path", managed, lambda: unix(path))
    tried("listen", managed, listen)
    tried("netlink", managed, netlink)
    tried("bind abstract", managed, bind_abstract)
    tried("interfaces up", managed, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9)))
    return managed


def pairs(address):
    """What can be had without `socket`: a pair, of the two kinds that cannot be aimed elsewhere."""
    managed = []

    def aimed(kind, use):
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        with one, other:
            use(one)

    tried("stream", managed, lambda: aimed(socket.SOCK_STREAM, lambda one: one.sendall(b"x")))
    tried("datagram", managed, lambda: aimed(socket.SOCK_DGRAM, lambda one: one.send(b"x")))
    tried("address", managed, lambda: aimed(socket.SOCK_DGRAM, lambda one: one.sendto(b"x", "\0" + address)))
    return managed


def send_descriptor(channels):
    managed = []
    with open("mine", "w+") as file:
        tried("send", managed, lambda: socket.send_fds(channels[0], [b"x"], [file.fileno()]))
    channels[0].sendall(b"end")
    return managed


def receive_descriptor(channels):
    managed = []
    got = tried("receive", managed, lambda: socket.recv_fds(channels[0], 1, 4))
    return managed if got and got[1] else []


def peer(channels):
    """A handle of the process at the other end of a channel (SO_PEERPIDFD), and what can be done with it."""
    managed = []
    tried("peer", managed, lambda: channels[0].getsockopt(socket.SOL_SOCKET, 77))
    tried("option", managed, lambda: channels[0].setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1))
    return managed


def say(text, channels):
    for channel in channels:
        channel.sendall(text.encode())
    return len(channels)


# --- exhaustion (bounded, for where it is not denied)


def forks(most):
    made = []
    for _ in range(most):
        try:
            pid = os.fork()
        except OSError:
            break
        if not pid:
            time.sleep(20)
            os._exit(0)
        made.append(pid)
    return len(made)


def many_threads(most):
    stop = threading.Event()
    made = 0
    with contextlib.suppress(RuntimeError):
        for _ in range(most):
            threading.Thread(target=stop.wait, daemon=True).start()
            made += 1
    stop.set()
    return made


def reserve(size):
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return []
    return ["reserved"]


def touch(size):
    return len(bytearray(b"x") * size)


def touch_together(processes, size):
    """Each process alone stays below its limit."""
    for _ in range(processes):
        if not os.fork():
            held = bytearray(b"x") * size
            time.sleep(0.7)
            os._exit(len(held) & 0)
    return [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(processes)]


def fill(folder, files, size):
    """Bytes that could be written in several files of `size` bytes."""
    written = 0
    block = b"x" * 65536
    for number in range(files):
        with contextlib.suppress(OSError), open(os.path.join(folder, f"fill-{number}"), "wb", buffering=0) as file:
            for _ in range(size // len(block)):
                written += file.write(block)
    return written


def memory_files(files, size):
    managed = []
    for number in range(files):

        def make(number=number):
            os.ftruncate(os.memfd_create(f"m{number}"), size)

        tried("memory file", managed, make)
    return managed


def flood():
    while True:
        os.write(1, b"x" * 4096)


def daemon(channels):
    """A grandchild in a session of its own that says it is alive after its parent's end."""
    if not os.fork():
        with contextlib.suppress(OSError):
            os.setsid()
        if not os.fork():
            time.sleep(1.0)
            channels[0].sendall(b"alive")
            time.sleep(20)
        os._exit(0)
    os.wait()
    return []


def daemon_forever():
    if not os.fork():
        with contextlib.suppress(OSError):
            os.setsid()
        time.sleep(60)
    time.sleep(60)


def order():
    return list({"one", "two", "three", "four", "five"})


def raise_limits():
    import resource

    managed = []
    for name in ("RLIMIT_NPROC", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_CPU"):
        which = getattr(resource, name)
        value = resource.getrlimit(which)[1] * 2
        with contextlib.suppress(ValueError):
            tried(name, managed, lambda which=which, value=value: resource.setrlimit(which, (value, value)))
    return managed


# --- the kernel


def mounts():
    managed = []

    def mount(source, target, kind, flags, data=None):
        if libc.mount(source, target, kind, flags, data) < 0:
            raise OSError(ctypes.get_errno(), "")

    def unshare(flags):
        if libc.unshare(flags) < 0:
            raise OSError(ctypes.get_errno(), "")

    os.mkdir("place")
    tried("new mount namespace", managed, lambda: unshare(0x20000))
    if managed:  # only ever in a namespace of its own
        mount(None, b"/", None, 16384 | (1 << 18))
    tried("mount tmpfs", managed, lambda: mount(b"tmpfs", b"place", b"tmpfs", 0))
    tried("mount proc", managed, lambda: mount(b"proc", b"place", b"proc", 0))
    tried("bind", managed, lambda: mount(b"/", b"place", None, 4096))
    tried("remount", managed, lambda: mount(None, b"place", None, 32 | 4096))
    return managed


def namespaces():
    managed = []
    for name, flag in (("user", 0x10000000), ("uts", 0x04000000), ("net", 0x40000000), ("pid", 0x20000000)):

        def unshare(flag=flag):
            if libc.unshare(flag) < 0:
                raise OSError(ctypes.get_errno(), "")

        tried(name, managed, unshare)
    return managed


def clone_namespace():
    managed = []
    number = {"x86_64": 56}.get(os.uname().machine, 220)

    def clone(flags):
        pid = syscall(number, flags | signal.SIGCHLD, 0, 0, 0, 0)
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)

    tried("clone", managed, lambda: clone(0))
    tried("clone user", managed, lambda: clone(0x10000000))
    tried("clone user high bits", managed, lambda: clone(0x10000000 | 1 << 40))
    return managed


def chroot():
    managed = []
    os.mkdir("jail")
    here = os.open(".", os.O_RDONLY)
    tried("chroot", managed, lambda: os.chroot("jail"))
    if managed:
        os.fchdir(here)
        for _ in range(30):
            os.chdir("..")
        os.chroot(".")
        tried("escape", managed, lambda: read("/etc/passwd"))
    return managed


def execute():
    managed = []
    with contextlib.suppress(OSError):
        pid = os.fork()
        if not pid:
            with contextlib.suppress(OSError):
                os.execv("/bin/true", ["true"])
            os._exit(77)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            managed.append("exec")
    return managed


def wide():
    """Calls with much of the kernel behind them; managed if it got as far as looking at what it was given."""
    managed = []
    first = os.uname().machine == "x86_64"
    numbers = {
        "io_uring": 425, "userfaultfd": 323 if first else 282, "bpf": 321 if first else 280,
        "perf": 298 if first else 241, "add_key": 248 if first else 217, "keyctl": 250 if first else 219,
    }  # fmt: skip
    room = ctypes.create_string_buffer(256)
    arguments = {
        "io_uring": (4, room), "userfaultfd": (1,), "bpf": (0, room, 64), "perf": (room, 0, -1, -1, 0),
        "add_key": (b"user", b"sibling", b"x", 1, -3), "keyctl": (0, -3, 1),
    }  # fmt: skip
    for name, given in arguments.items():
        try:
            syscall(numbers[name], *given)
            managed.append(name)
        except OSError as failure:
            if failure.errno not in (errno.EPERM, errno.ENOSYS, errno.EACCES):
                managed.append(name)
    return managed


def ipc():
    managed = []
    tried("shared memory", managed, lambda: libc.shmget(0, 4096, 0o1600) >= 0 or tried_failed())
    tried("message queue", managed, lambda: libc.msgget(0, 0o1600) >= 0 or tried_failed())
    return managed


def tried_failed():
    raise OSError


def old_calls():
    """getpid through the 32-bit convention: machine code made here."""
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20; int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    place = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(place)()


def die(number):
    os.kill(os.getpid(), number)
    time.sleep(5)


def sleep(seconds):
    time.sleep(seconds)


def leave(code):
    sys.exit(code)


def print_both(out, err):
    sys.stdout.write(out)
    sys.stderr.write(err)


def spin():
    while True:
        pass


NEED_CHANNELS = {peer, send_descriptor, receive_descriptor, say, daemon}
