"""The filter for both machines, run by a small interpreter of classic BPF, and put on for real."""

import os
import platform
import socket
import struct

import pytest

from sibling.sandbox import calls, seccomp

ALLOW, KILL, DENY, ABSENT = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003
# well-known numbers, written down here apart from the table of the module
ALLOWED = {
    "x86_64": {"read": 0, "write": 1, "openat": 257, "mmap": 9, "fork": 57, "exit": 60, "sendto": 44, "futex": 202},
    "aarch64": {"read": 63, "write": 64, "openat": 56, "mmap": 222, "exit": 93, "sendto": 206, "futex": 98},
}
DENIED = {
    "x86_64": {"socket": 41, "execve": 59, "ptrace": 101, "mount": 165, "unshare": 272, "bpf": 321, "io_uring": 425,
               "keyctl": 250, "chroot": 161, "sendmsg": 46, "memfd_create": 319, "reboot": 169},
    "aarch64": {"socket": 198, "execve": 221, "ptrace": 117, "mount": 40, "unshare": 97, "bpf": 280, "io_uring": 425,
                "keyctl": 219, "chroot": 51, "sendmsg": 211, "memfd_create": 279, "reboot": 142},
}  # fmt: skip
SHAPED = {  # clone, socketpair, sendto, prlimit64, ioctl, fcntl, prctl, kill, tgkill, clone3, chmod by path
    "x86_64": (56, 53, 44, 302, 16, 72, 157, 62, 234, 435, 268),
    "aarch64": (220, 199, 206, 261, 29, 25, 167, 129, 131, 435, 53),
}


@pytest.fixture(params=sorted(ARCHES))
def machine(request, monkeypatch):
    monkeypatch.setattr(calls, "MACHINE", request.param)
    return request.param


def decide(program, arch, number, *arguments):
    """What the kernel does with a call: the program on its record, step by step."""
    record = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("<HBBI", program))
    assert len(steps) < 4096
    place, value = 0, 0
    while True:
        code, if_true, if_false, constant = steps[place]
        place += 1
        if code == 0x20:
            assert constant % 4 == 0
            (value,) = struct.unpack_from("<I", record, constant)
        elif code == 0x54:
            value &= constant
        elif code == 0x06:
            return constant
        else:
            tests = {
                0x15: value == constant,
                0x25: value > constant,
                0x35: value >= constant,
                0x45: bool(value & constant),
            }
            place += if_true if tests[code] else if_false


@pytest.mark.parametrize("alone", [True, False])
def test_plain_calls(machine, alone):
    program, arch = seccomp.build(alone=alone), ARCHES[machine]
    for number in ALLOWED[machine].values():
        assert decide(program, arch, number) == ALLOW
    for number in DENIED[machine].values():
        assert decide(program, arch, number) == DENY
    for number in (457, 500, 0x3FFFFFFF):
        assert decide(program, arch, number) == ABSENT
    assert decide(program, I386, ALLOWED[machine]["read"]) == KILL
    other = next(value for name, value in ARCHES.items() if name != machine)
    assert decide(program, other, ALLOWED[machine]["read"]) == KILL
    assert decide(program, arch, 0x40000000 + 1) == (KILL if machine == "x86_64" else ABSENT)


def test_calls_by_their_arguments(machine):
    arch, program = ARCHES[machine], seccomp.build(alone=True)
    clone, pair, sendto, prlimit, ioctl, fcntl, prctl, kill, tgkill, clone3, chmod = SHAPED[machine]

    def of(*call):
        return decide(program, arch, *call)

    assert of(clone3) == ABSENT
    assert of(clone, 0x1200011) == ALLOW and of(clone, 0x3D0F00) == ALLOW  # fork and thread of the C library
    for namespace in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert of(clone, namespace | 17) == DENY
    assert of(pair, 1, 1 | 0o2000000) == ALLOW and of(pair, 1, 5) == ALLOW
    assert of(pair, 1, 2) == DENY and of(pair, 2, 1) == DENY and of(pair, 1, 3) == DENY
    assert of(sendto, 3, 1, 1, 0, 0) == ALLOW
    assert of(sendto, 3, 1, 1, 0, 1) == DENY and of(sendto, 3, 1, 1, 0, 1 << 32) == DENY
    assert of(prlimit, 0, 7) == ALLOW and of(prlimit, 1, 7) == DENY
    assert of(ioctl, 1, 0x5401) == ALLOW and of(ioctl, 1, 0x5412) == DENY and of(ioctl, 1, 0x5412 | 1 << 32) == DENY
    assert of(fcntl, 1, 3) == ALLOW and of(fcntl, 1, 8) == DENY
    assert of(prctl, 15) == ALLOW and of(prctl, 4) == DENY and of(prctl, 35) == DENY
    assert of(kill, 5, 9) == ALLOW and of(tgkill, 5, 5, 9) == ALLOW and of(chmod) == ALLOW


def test_without_a_namespace_signals_go_to_itself_alone(machine):
    arch, program = ARCHES[machine], seccomp.build(alone=False)
    *_, kill, tgkill, _, chmod = SHAPED[machine]
    me = 0x7FFF1234  # stands for the process id until the filter is put on
    for number in (kill, tgkill):
        assert decide(program, arch, number, me) == ALLOW
        assert decide(program, arch, number, me + 1) == DENY
        assert decide(program, arch, number, 0) == DENY and decide(program, arch, number, 0xFFFFFFFF) == DENY
    assert decide(program, arch, chmod) == DENY


def test_every_denied_call_is_denied(machine):
    arch, which = ARCHES[machine], list(ARCHES).index("x86_64") != list(ARCHES).index(machine)
    for alone, table in ((True, seccomp._DENIED), (False, seccomp._DENIED | seccomp._DENIED_OUTSIDE)):
        program = seccomp.build(alone=alone)
        numbers = [pair[int(which)] for pair in table.values()]
        assert all(decide(program, arch, number) == DENY for number in numbers if number is not None)


@pytest.mark.skipif(platform.system() != "Linux" or not calls.KNOWN, reason="needs Linux on x86-64 or 64-bit ARM")
def test_put_on_for_real():
    pid = os.fork()
    if not pid:
        code = 1
        try:
            calls.prctl(38, 1)
            seccomp.put_on(seccomp.build(alone=False))
            try:
                socket.socket()
            except PermissionError:
                os.kill(os.getpid(), 0)
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_kernel_reads_what_is_put_on(monkeypatch):
    """The head that the call gets: the number of steps and where they are."""
    seen = []
    monkeypatch.setattr(calls, "call", lambda *arguments: seen.append(arguments))
    monkeypatch.setattr(calls, "MACHINE", "x86_64")
    program = seccomp.build(alone=False)
    seccomp.put_on(program)
    name, mode, flags, head = seen[0]
    assert (name, mode, flags) == ("seccomp", 1, 0) and struct.unpack("@HxxxxxxQ", head)[0] == len(program) // 8
