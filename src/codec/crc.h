/* CRC-32 as gzip has it (ISA-L): tells apart what nobody made alike on purpose. */
#ifndef BERTH_CODEC_CRC_H
#define BERTH_CODEC_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from 'crc', 0 at the beginning. */
uint32_t crc_add(uint32_t crc, const void *data, size_t size);

#endif
