/* The multiplexed stream (spec/api.md 1.11): eight bytes in front of each piece say whose it is and
 * how long. */
#ifndef BERTH_API_FRAME_H
#define BERTH_API_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum frame_stream { FRAME_STDIN, FRAME_STDOUT, FRAME_STDERR, FRAME_ERROR };

#define FRAME_HEADER_SIZE 8

void frame_header(enum frame_stream stream, size_t size, uint8_t out[FRAME_HEADER_SIZE]);

#define MEDIA_TYPE_RAW_STREAM         "application/vnd.docker.raw-stream"
#define MEDIA_TYPE_MULTIPLEXED_STREAM "application/vnd.docker.multiplexed-stream"

#endif
