/* The local side of a copy: what is there, and files to and from archives. */
#ifndef BERTH_CLI_COPY_LOCAL_H
#define BERTH_CLI_COPY_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/extract.h"
#include "base/error.h"
#include "base/stream.h"
#include "cli/copy_plan.h"

/* A path with what it stands for; 'end' borrows from it. */
struct local_end {
    char *path, *shown_name;
    struct copy_end end;
};
void local_end_done(struct local_end *local);
CLEANUP_VALUE(local_end_done, struct local_end)

/* A source has to be there. Links in front of the last element are followed, the last one too with
 * 'follows'. */
int local_source(const char *path, bool follows, struct local_end *out, struct error *err);
/* A target may be missing, its parent may not. A link is followed. */
int local_target(const char *path, struct local_end *out, struct error *err);

/* An archive of a source, made while it is read. */
struct sending;
int sending_begin(const struct local_end *source, const struct copy_plan *plan,
                  struct sending **out, struct error *err);
struct stream *sending_stream(struct sending *sending); /* borrowed */
/* Waits for the end; *out_bytes is the archive's size. What failed here is told; it is the cause of
 * whatever the reader complained of. Frees. */
int sending_end(struct sending *sending, int64_t *out_bytes, struct error *err);

/* Unpacks an archive (borrowed) as planned. Nothing in it leads out of the plan's directory. */
int receive(struct stream *archive, const struct copy_plan *plan, int64_t *out_bytes,
            struct error *err);

/* How all that comes is unpacked in the plan's directory; borrows from the plan. */
struct extract_options local_extraction(const struct copy_plan *plan);

#endif
