"""A file system in user space that answers until it is told not to: python3 fuse_server.py MOUNTPOINT. It holds one file, "file".
SIGUSR1: requests are taken and never answered (whoever waits for one cannot even be killed); SIGUSR2: answered again, those taken
meanwhile too. Its end takes the connection with it."""
import ctypes
import errno
import os
import signal
import stat
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 15, 17, 18, 25, 26
OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, DESTROY, BATCH_FORGET = 27, 28, 29, 34, 36, 38, 42
HEADER = struct.Struct("=IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
CONTENT = b"answered\n"
REQUEST_LIMIT = 1 << 17
NO_ANSWER = {FORGET, BATCH_FORGET, INTERRUPT, DESTROY}

answers = True


def attributes(node):
    mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o644
    size = 0 if node == 1 else len(CONTENT)
    return struct.pack("=QQQQQQIIIIIIIIII", node, size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def reply(opcode, node, body):
    """What a request is answered with: bytes, or the number of an error. Nothing is cached by the kernel: each look is a request."""
    if opcode == INIT:
        major, minor = struct.unpack_from("=II", body)
        return struct.pack("=IIIIHHIIHHI7I", 7, min(minor, 31), 0, 0, 8, 6, 1 << 16, 1, 0, 0, 0, *[0] * 7)
    if opcode == GETATTR:
        return struct.pack("=QII", 0, 0, 0) + attributes(node)
    if opcode == LOOKUP:
        if node != 1 or body.rstrip(b"\0") != b"file":
            return errno.ENOENT
        return struct.pack("=QQQQII", 2, 0, 0, 0, 0, 0) + attributes(2)
    if opcode in (OPEN, OPENDIR):
        return struct.pack("=QII", 0, 1, 0)  # direct
    if opcode == READ:
        _, offset, size = struct.unpack_from("=QQI", body)
        return CONTENT[offset:offset + size]
    if opcode == READDIR:
        return b""
    if opcode == STATFS:
        return struct.pack("=QQQQQIIII6I", 0, 0, 0, 0, 0, 512, 255, 0, 0, *[0] * 6)
    if opcode in (RELEASE, RELEASEDIR, FLUSH, ACCESS):
        return b""
    return errno.ENOSYS


def serve(fd):
    owed = []
    while True:
        try:
            request = os.read(fd, REQUEST_LIMIT)
        except OSError as problem:
            if problem.errno in (errno.EINTR, errno.ENOENT):
                continue
            return
        _, opcode, unique, node, *_ = HEADER.unpack_from(request)
        if opcode in NO_ANSWER:
            continue
        owed.append((unique, reply(opcode, node, request[HEADER.size:])))
        while answers and owed:
            unique, answer = owed.pop(0)
            data = b"" if isinstance(answer, int) else answer
            try:
                os.write(fd, struct.pack("=IiQ", 16 + len(data), -answer if isinstance(answer, int) else 0, unique) + data)
            except OSError:
                pass  # whoever asked is gone


def turn(number, frame):
    global answers
    answers = number == signal.SIGUSR2


def main():
    fd = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"sick", sys.argv[1].encode(), b"fuse", 0, options) < 0:
        sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")
    signal.signal(signal.SIGUSR1, turn)
    signal.signal(signal.SIGUSR2, turn)
    print("mounted", flush=True)
    serve(fd)


if __name__ == "__main__":
    main()
