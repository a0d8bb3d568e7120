/* UTF-8, as strict as Go: overlong forms, surrogates and anything beyond U+10FFFF are broken, and
 * each broken byte counts as one U+FFFD. */
#ifndef BERTH_CODEC_UTF8_H
#define BERTH_CODEC_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdu

/* Reads one character from 'size' (at least 1) bytes and returns how many it took. A broken byte
 * takes 1 and gives UTF8_REPLACEMENT. */
size_t utf8_decode(const char *text, size_t size, uint32_t *out_code);

/* Writes a character (at most 4 bytes, no NUL) and returns its size. */
size_t utf8_put(uint32_t code, char *out);

/* How many bytes are broken. */
size_t utf8_count_broken(const char *text, size_t size);

/* Characters of a text; a broken byte counts as one. */
size_t utf8_length(const char *text, size_t size);

#endif
