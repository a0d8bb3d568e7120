/* The head of a gzipped log file: that of gzip (RFC 1952), with one field of ours that says which
 * file it was made of. Any gunzip passes over it. */
#ifndef BERTH_SHIM_LOG_GZIP_H
#define BERTH_SHIM_LOG_GZIP_H

#include "shim/log_files.h"

#define LOG_GZIP_PLAIN_SIZE 10 /* without that field */
#define LOG_GZIP_HEAD_SIZE  32

void log_gzip_head_write(const struct log_identity *identity, uint8_t out[LOG_GZIP_HEAD_SIZE]);
/* False if it is no such head. */
bool log_gzip_head_read(const uint8_t head[LOG_GZIP_HEAD_SIZE], struct log_identity *out);

#endif
