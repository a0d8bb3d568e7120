/* Room on disk that is kept for the record: when the file system is full, what removes or changes
 * something can still be recorded, and so make room. What adds something cannot. */
#ifndef BERTH_RECORD_RESERVE_H
#define BERTH_RECORD_RESERVE_H

#include "base/error.h"

#define RESERVE_SIZE ((int64_t)4 << 20)

struct reserve {
    char *path; /* of the file that holds it */
    int fd;     /* -1: there is none */
    int64_t size;
};

/* Takes up the file, which may not be there. Failing is no error: then nothing is kept. */
void reserve_open(struct reserve *reserve, const char *path);
void reserve_close(struct reserve *reserve);

/* Before something is written that is to succeed on a full disk: gives a part of the room away, if
 * there is no other. */
void reserve_use(struct reserve *reserve);

/* Makes it whole again, if there is plenty of room. */
void reserve_refill(struct reserve *reserve);

#endif
