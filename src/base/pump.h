/* What a function writes, as a stream to be read. The function runs in a thread of its own, a few
 * blocks ahead of the reader, so that making the bytes and using them go side by side. */
#ifndef BERTH_BASE_PUMP_H
#define BERTH_BASE_PUMP_H

#include "base/stream.h"

/* 'write' writes all there is to 'out' and returns; if it fails, the reader gets its error behind
 * the bytes that came before. Closing the stream early makes its next write fail (CANCELLED) and
 * waits for its return. 'data' must live until then. NULL on error. */
struct stream *pump_start(int (*write)(void *data, struct stream *out, struct error *err),
                          void *data, struct error *err);

#endif
