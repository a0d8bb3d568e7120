"""A disk that notes what reaches it, in order: python3 logged_disk.py MOUNTPOINT IMAGE LOG. MOUNTPOINT/file is the disk for a loop device, which
turns the flushes of the file system on it into fsync. IMAGE holds its content. LOG gets a record (RECORD and the bytes) for each write, and one of
size 0 for each flush, before it is answered: a file's size at any time tells what the disk had been given until then."""
import os
import struct
import sys

import fuse

RECORD = struct.Struct("=QI")  # offset, size
FLUSH = RECORD.pack(0, 0)


class Disk(fuse.File):
    open_flags = 0  # through the kernel's pages: what is written is sent before the write returns

    def __init__(self, image, log):
        self.image_fd = os.open(image, os.O_RDWR)
        self.log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = os.fstat(self.image_fd).st_size

    def read(self, offset, size):
        return os.pread(self.image_fd, size, offset)

    def write(self, offset, data):
        os.pwrite(self.image_fd, data, offset)
        os.writev(self.log_fd, (RECORD.pack(offset, len(data)), data))

    def sync(self):
        os.write(self.log_fd, FLUSH)


def main():
    connection = fuse.Connection(sys.argv[1], Disk(sys.argv[2], sys.argv[3]))
    print("mounted", flush=True)
    for request in connection.requests():
        connection.reply(*request)


if __name__ == "__main__":
    main()
