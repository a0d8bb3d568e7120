#include "codec/crc.h"

#include <isa-l/crc.h>

#include "base/banned.h"

uint32_t crc_add(uint32_t crc, const void *data, size_t size)
{
    return crc32_gzip_refl(crc, data, size);
}
