#include "api/frame.h"

#include <criterion/criterion.h>

#include "base/macros.h"

#include "base/banned.h"

static const struct {
    enum frame_stream stream;
    size_t size;
    uint8_t header[FRAME_HEADER_SIZE];
} frames[] = {
    { FRAME_STDOUT, 0, { 1, 0, 0, 0, 0, 0, 0, 0 } },
    { FRAME_STDERR, 5, { 2, 0, 0, 0, 0, 0, 0, 5 } },
    { FRAME_ERROR, 16384, { 3, 0, 0, 0, 0, 0, 0x40, 0 } },
    { FRAME_STDOUT, 0x01020304, { 1, 0, 0, 0, 1, 2, 3, 4 } },
};

Test(frame, says_whose_it_is_and_how_long)
{
    for (size_t i = 0; i < COUNT(frames); i++) {
        uint8_t header[FRAME_HEADER_SIZE];

        frame_header(frames[i].stream, frames[i].size, header);
        cr_expect_arr_eq(header, frames[i].header, sizeof(header));
    }
}
