"""The kernel's side of a file system in user space that holds one file, "file": mounting it, and taking and answering its requests."""
import ctypes
import errno
import os
import stat
import struct
import sys

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20, 25, 26
OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, DESTROY, BATCH_FORGET = 27, 28, 29, 34, 36, 38, 42
HEADER = struct.Struct("=IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
TRANSFER = struct.Struct("=QQIIQII")  # of reads and writes: handle, offset, size, flags, owner of a lock, flags of the file, padding
ROOT, FILE = 1, 2
WRITE_LIMIT = 1 << 17
REQUEST_LIMIT = WRITE_LIMIT + 4096
NO_ANSWER = {FORGET, BATCH_FORGET, INTERRUPT, DESTROY}
DIRECT = 1  # the kernel keeps no pages of the file


class File:
    """What the one file is made of. Each method may be asked by the kernel at any time."""
    open_flags = DIRECT
    size = 0

    def read(self, offset, size):
        raise NotImplementedError

    def write(self, offset, data):
        raise OSError(errno.EROFS, "read only")

    def sync(self):
        pass


def attributes(node, file):
    mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o600
    size = 0 if node == ROOT else file.size
    return struct.pack("=QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode, node, body, file):
    """What a request is answered with. Names and attributes are not kept by the kernel: each look is a request."""
    if opcode == INIT:
        _major, minor = struct.unpack_from("=II", body)
        return struct.pack("=IIIIHHIIHHI7I", 7, min(minor, 31), 0, 0, 8, 6, WRITE_LIMIT, 1, 0, 0, 0, *[0] * 7)
    if opcode in (GETATTR, SETATTR):
        return struct.pack("=QII", 0, 0, 0) + attributes(node, file)
    if opcode == LOOKUP:
        if node != ROOT or body.rstrip(b"\0") != b"file":
            raise OSError(errno.ENOENT, "no such file")
        return struct.pack("=QQQQII", FILE, 0, 0, 0, 0, 0) + attributes(FILE, file)
    if opcode in (OPEN, OPENDIR):
        return struct.pack("=QII", 0, DIRECT if node == ROOT else file.open_flags, 0)
    if opcode == READ:
        _, offset, size, *_ = TRANSFER.unpack_from(body)
        return file.read(offset, size)
    if opcode == WRITE:
        _, offset, size, *_ = TRANSFER.unpack_from(body)
        file.write(offset, body[TRANSFER.size:TRANSFER.size + size])
        return struct.pack("=II", size, 0)
    if opcode == FSYNC:
        file.sync()
        return b""
    if opcode == READDIR:
        return b""
    if opcode == STATFS:
        return struct.pack("=QQQQQIIII6I", 0, 0, 0, 0, 0, 512, 255, 0, 0, *[0] * 6)
    if opcode in (RELEASE, RELEASEDIR, FLUSH, ACCESS):
        return b""
    raise OSError(errno.ENOSYS, "unknown request")


class Connection:
    """A mount, and the requests that come of it. The end of this process ends it too."""

    def __init__(self, place, file):
        self.file = file
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"one-file", str(place).encode(), b"fuse", 0, options) < 0:
            sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")

    def requests(self):
        """Each request, as (unique, opcode, node, body); the end of the mount ends them."""
        while True:
            try:
                request = os.read(self.fd, REQUEST_LIMIT)
            except OSError as problem:
                if problem.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return
            _, opcode, unique, node, *_ = HEADER.unpack_from(request)
            if opcode not in NO_ANSWER:
                yield unique, opcode, node, request[HEADER.size:]

    def reply(self, unique, opcode, node, body):
        try:
            data, code = answer(opcode, node, body, self.file), 0
        except OSError as problem:
            data, code = b"", problem.errno
        try:
            os.write(self.fd, struct.pack("=IiQ", 16 + len(data), -code, unique) + data)
        except OSError:
            pass  # whoever asked is gone
