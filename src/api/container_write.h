/* How a container looks in JSON: as an entry of a list, and in full. Members come in Docker's
 * order. */
#ifndef BERTH_API_CONTAINER_WRITE_H
#define BERTH_API_CONTAINER_WRITE_H

#include "codec/json.h"
#include "engine/container.h"

/* What a container_info does not tell itself. */
struct container_view {
    int version;       /* of the API */
    const char *image; /* list: name, or id if the name means another image now */
    const char *driver;
    bool with_size;
    int64_t size_rw, size_root_fs;
};

void container_write_item(struct json_writer *w, const struct container_info *info,
                          const struct container_view *view);
void container_write_full(struct json_writer *w, const struct container_info *info,
                          const struct container_view *view);

/* The command line of a list: arguments with blanks in quotes. Yours. */
char *container_command_text(const struct container_info *info);

#endif
