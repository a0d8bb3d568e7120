/* Headers of frames. */
#include "api/frame.h"

#include "base/banned.h"

void frame_header(enum frame_stream stream, size_t size, uint8_t out[FRAME_HEADER_SIZE])
{
    out[0] = (uint8_t)stream;
    out[1] = out[2] = out[3] = 0;
    for (int i = 0; i < 4; i++)
        out[4 + i] = (uint8_t)(size >> (8 * (3 - i)));
}
