/* ID1 ID2 CM FLG MTIME(4) XFL OS, XLEN(2), then one subfield: SI1 SI2 LEN(2) and its bytes. Numbers
 * are little-endian. */
#include "shim/log_gzip.h"

#include <string.h>

#include "base/banned.h"

enum { FIELD_SIZE = 16, EXTRA_SIZE = 4 + FIELD_SIZE, FIELD_AT = LOG_GZIP_PLAIN_SIZE + 2 + 4 };

static const uint8_t start[FIELD_AT] = {
    0x1f, 0x8b, 8, 4 /* FEXTRA */, 0, 0, 0, 0, 0, 255, EXTRA_SIZE, 0, 'B', 'E', FIELD_SIZE, 0,
};

static void put(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

void log_gzip_head_write(const struct log_identity *identity, uint8_t out[LOG_GZIP_HEAD_SIZE])
{
    memcpy(out, start, sizeof(start));
    put(out + FIELD_AT, identity->inode);
    put(out + FIELD_AT + 8, (uint64_t)identity->born_ns);
}

bool log_gzip_head_read(const uint8_t head[LOG_GZIP_HEAD_SIZE], struct log_identity *out)
{
    if (memcmp(head, start, sizeof(start)) != 0)
        return false;
    out->inode = get(head + FIELD_AT);
    out->born_ns = (int64_t)get(head + FIELD_AT + 8);
    return true;
}
