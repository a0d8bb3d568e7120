/* What Go accepts and jansson does not, and what Go says where both refuse. Private to json_*.c. */
#ifndef BERTH_CODEC_JSON_REPAIR_H
#define BERTH_CODEC_JSON_REPAIR_H

#include "base/error.h"
#include "base/str.h"
#include "codec/json.h"

#define JSON_SIZE_LIMIT ((size_t)1 << 30)

/* Reads 'text' by Go's grammar. Either it fails with Go's words, or 'out' gets a text that means
 * the same and that jansson reads with JSON_ALLOW_NUL: broken UTF-8 and lone surrogates became
 * U+FFFD, and numbers outside what jansson holds became strings that begin with NUL
 * (no other string holds a NUL: it is refused). */
int json_repair(const char *text, size_t size, struct str *out, struct error *err);

/* The literal of such a number (borrowed), NULL for all other values. */
const char *json_large_number(const struct json *value);

#endif
