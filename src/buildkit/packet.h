/* Messages of the protocol that syncs directories: what an entry is (its "stat"), requests for the
 * content of files, and the content. Modes are those of Go's os.FileMode. */
#ifndef BERTH_BUILDKIT_PACKET_H
#define BERTH_BUILDKIT_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

enum packet_type { PACKET_STAT, PACKET_REQUEST, PACKET_DATA, PACKET_END, PACKET_ERROR };

enum { PACKET_ATTRIBUTE_LIMIT = 64, PACKET_PATH_LIMIT = 4096 };

struct packet_attribute {
    char *name;
    const uint8_t *value; /* borrowed from the message */
    size_t size;
};

struct packet_stat {
    char *path;     /* relative, cleaned, no ".." in it */
    char *linkname; /* of a symbolic link; of a regular file: it is that file, linked once more */
    mode_t mode;    /* as stat(2) has it */
    uint32_t uid, gid;
    int64_t size, mtime_ns, device_major, device_minor;
    struct packet_attribute *attributes;
    size_t attribute_count;
};
void packet_stat_done(struct packet_stat *stat);
CLEANUP_VALUE(packet_stat_done, struct packet_stat)

struct packet {
    enum packet_type type;
    bool has_stat; /* of PACKET_STAT: false ends the list */
    struct packet_stat stat;
    uint32_t id;         /* of a file: its place in the list */
    const uint8_t *data; /* borrowed; empty: the end of the file */
    size_t size;
};

/* Reads a message; what is borrowed lives as long as it. INVALID also for a path that leads out of
 * its tree or is not clean, and for kinds of files that cannot be sent. */
int packet_read(const void *message, size_t size, struct packet *out, struct error *err);

/* Appends a message. */
void packet_write_stat(struct buf *out, const struct packet_stat *stat); /* NULL: the end */
void packet_write(struct buf *out, enum packet_type type, uint32_t id, const void *data,
                  size_t size);

#endif
