/* How an image looks in JSON. Members come in Docker's order. */
#ifndef BERTH_API_IMAGE_WRITE_H
#define BERTH_API_IMAGE_WRITE_H

#include "codec/json.h"
#include "engine/image.h"

struct image_view {
    int version;                /* of the API */
    const char *driver;         /* full: of the store */
    const char *data_path;      /* full: data root */
    const struct strv *tags;    /* entry: those to show */
    const struct strv *digests; /* entry: those to show; NULL: all */
    int64_t container_count;    /* entry */
    int64_t shared_size;        /* entry: -1 not known */
    bool empty_names_are_null;  /* entry: in disk usage */
};

/* An entry of a list. */
void image_write_item(struct json_writer *w, const struct image *image,
                      const struct image_view *view);
void image_write_full(struct json_writer *w, const struct image *image,
                      const struct image_view *view);

/* {"Untagged":…} and {"Deleted":…}, into a list that is open. */
void image_removals_write(struct json_writer *w, const struct json_list *removals);

#endif
