/* An archive without the content of its files, which the layer's directory has anyway: headers and
 * padding as they came, and the names of files in between. With the directory it gives the archive
 * again, byte for byte, so that neither the archive nor a compressed copy need be kept.
 *
 * An outline is "berth-outline-1\n" and then records: 'R', a 32-bit length and that many bytes;
 * 'F', a 64-bit size, a 16-bit length and a path of that length; 'E' at the end. Numbers are
 * little-endian. */
#ifndef BERTH_STORE_OUTLINE_H
#define BERTH_STORE_OUTLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/stream.h"

struct outline;
/* Writes to 'out' (borrowed). */
struct outline *outline_new(struct stream *out);
void outline_free(struct outline *outline);
CLEANUP_POINTER(outline_free, struct outline)

/* A readable stream over 'archive' (taken; a plain tar) that takes note of all that is read. */
struct stream *outline_read(struct outline *outline, struct stream *archive);
/* The next file that is not empty was unpacked to 'path', relative to the directory. 'crc' is of
 * what was written. */
void outline_file(struct outline *outline, const char *path, int64_t size, uint32_t crc);
/* The directory does not have what the archive had. */
void outline_give_up(struct outline *outline);
/* The archive is over. False if there is no outline of it: an archive that says things twice, or
 * that two readers could understand differently. */
bool outline_finish(struct outline *outline);
/* Plain bytes, by what is cheap to compare. */
struct plain_form {
    int64_t size, crc; /* crc -1: not known */
};
struct plain_form outline_archive_form(const struct outline *outline);

/* Makes the archive again. */
int outline_write(struct stream *outline, int dir_fd, struct stream *out, struct error *err);

#endif
