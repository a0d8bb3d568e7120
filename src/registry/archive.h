/* Images as one tar: an OCI image layout that has docker's manifest.json too, so that each tool
 * finds what it looks for. Read are these, layouts without manifest.json, and what docker wrote
 * before it knew of layouts. */
#ifndef BERTH_REGISTRY_ARCHIVE_H
#define BERTH_REGISTRY_ARCHIVE_H

#include "spec/platform.h"
#include "store/store.h"

/* An image to be written, and the names it goes by ("x:1", familiar). */
struct archive_item {
    struct image *image;
    struct strv names;
};

/* Layers leave as they came, if the image came with a manifest and all its blobs are there; else as
 * plain tars named by their diff ids. */
int archive_save(struct store *store, const struct archive_item *items, size_t count,
                 struct stream *out, struct error *err);

struct archive_index {
    char digest[DIGEST_TEXT_SIZE];
    int64_t size;
};
/* Where an archive goes, asked for when it is known what it will be and not before. The stream is
 * borrowed; NULL: an error. */
struct archive_target {
    void *data;
    struct stream *(*open)(void *data, const struct archive_index *index, struct error *err);
};
/* Images for several platforms as one: index.json names an index of them, which goes by 'names'.
 * There is no manifest.json, which knows no platforms. */
int archive_save_index(struct store *store, const struct archive_item *items, size_t count,
                       const struct strv *names, const struct archive_target *target,
                       struct error *err);

/* A place that takes blobs one by one. */
struct archive_place {
    void *data;
    /* 1: 'out' takes the bytes, and is the place's; 0: the place has the blob already. */
    int (*begin)(void *data, const char *digest, int64_t size, struct stream **out,
                 struct error *err);
    /* All bytes of it were written. */
    int (*end)(void *data, struct error *err);
};
/* Images as blobs alone, under an index of all of them in their order, whatever they are for. */
int archive_save_blobs(struct store *store, const struct archive_item *items, size_t count,
                       const struct archive_place *place, struct archive_index *out_index,
                       struct error *err);

/* What happens during archive_load. */
struct archive_watcher {
    void *data;
    /* Bytes of a layer that are unpacked; never called for layers that are there already. Not 0
     * ends the loading: CANCELLED. */
    int (*layer)(void *data, const char *diff_id, int64_t done, int64_t total);
    /* An image is there; 'name' is NULL for one without a name. */
    int (*loaded)(void *data, struct image *image, const char *name, struct error *err);
};

/* Which images of an archive count. */
struct archive_choice {
    const struct platform *platform; /* leaves images for others out: NOT_FOUND if none is left */
    /* A cache: an index is a list of images, whatever each is for, and not one image for several
     * platforms. Names in it do not count, and the images are held (store_image_let_go) from when
     * they were told of. UNSUPPORTED for an index of something else. */
    bool is_cache;
};

/* Reads a whole archive (plain or compressed), checks every digest and size, unpacks the layers
 * that are not there yet, and records the images. 'choice' NULL: of an index the image for this
 * machine, and all others. After a failure only images that were told of stay. */
int archive_load(struct store *store, struct stream *archive, const struct archive_choice *choice,
                 const struct archive_watcher *watcher, struct error *err);

/* Where blobs are had by their digests. */
struct archive_source {
    void *data;
    int (*open)(void *data, const char *digest, struct stream **out, struct error *err);
};
/* Reads what archive_save_blobs wrote, or the manifest of one image: all images, checked in the
 * same way. Only what is not here yet is asked for. The images are held (store_image_let_go) from
 * when they were told of, also if others fail. UNSUPPORTED for an index or a manifest of something
 * else.
 */
int archive_load_blobs(struct store *store, const struct archive_source *source, const char *digest,
                       const struct archive_watcher *watcher, struct error *err);

#endif
