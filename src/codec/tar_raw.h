/* The raw bytes of the current tar header, and the names in them. Private to tar_*.c. */
#ifndef BERTH_CODEC_TAR_RAW_H
#define BERTH_CODEC_TAR_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define TAR_RECORD_SIZE 512

/* The last two blocks that were read. */
struct tar_window {
    struct {
        uint8_t *bytes;
        size_t size;
    } blocks[2];
    int current;
    uint64_t total; /* bytes read so far, both blocks included */
};

/* Memory for the next block of at most 'size' bytes; say afterwards how many came. */
uint8_t *tar_window_next(struct tar_window *window, size_t size);
void tar_window_filled(struct tar_window *window, size_t size);

/* What the headers of one entry say, byte for byte. */
struct tar_raw {
    char *name, *link_target; /* of a pax header; NULL if there is none */
    char type;                /* letter of the main header */
};

/* Looks at the headers that begin at 'position'. False if they are too long to be there still. */
bool tar_window_read(const struct tar_window *window, int64_t position, struct tar_raw *out);

void tar_raw_done(struct tar_raw *raw);
CLEANUP_VALUE(tar_raw_done, struct tar_raw)

void tar_window_done(struct tar_window *window);

#endif
