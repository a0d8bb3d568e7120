"""A file system in user space that answers until it is told not to: python3 fuse_server.py MOUNTPOINT.
SIGUSR1: requests are taken and never answered (whoever waits for one cannot even be killed); SIGUSR2: answered again, those taken
meanwhile too. Its end takes the connection with it."""
import signal
import sys

import fuse

CONTENT = b"answered\n"

answers = True


class Content(fuse.File):
    size = len(CONTENT)

    def read(self, offset, size):
        return CONTENT[offset:offset + size]


def turn(number, frame):
    global answers
    answers = number == signal.SIGUSR2


def main():
    connection = fuse.Connection(sys.argv[1], Content())
    signal.signal(signal.SIGUSR1, turn)
    signal.signal(signal.SIGUSR2, turn)
    print("mounted", flush=True)
    owed = []
    for request in connection.requests():
        owed.append(request)
        while answers and owed:
            connection.reply(*owed.pop(0))


if __name__ == "__main__":
    main()
