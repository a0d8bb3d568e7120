/* One entry on its way from a supervisor to berth-log: this head, then 'size' bytes. Both ends are
 * of one release and on one machine. */
#ifndef BERTH_FORWARD_ENTRY_H
#define BERTH_FORWARD_ENTRY_H

#include <stdint.h>

#define FORWARD_TEXT_LIMIT (UINT32_C(64) * 1024)

struct forward_entry {
    uint32_t size; /* without the newline */
    uint8_t is_stderr;
    uint8_t is_partial; /* the line goes on in the next entry of this stream */
    uint16_t zero;
    int64_t wall_ns;
};

#endif
