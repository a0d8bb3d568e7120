/* Base64, both alphabets. */
#ifndef BERTH_CODEC_BASE64_H
#define BERTH_CODEC_BASE64_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

char *base64_encode(const void *data, size_t size);     /* standard alphabet, padded */
char *base64_encode_url(const void *data, size_t size); /* URL alphabet, padded */

/* Accepts either alphabet, with or without padding, nothing else. */
int base64_decode(const char *text, struct buf *out, struct error *err);

#endif
