/* What images are made of, on disk: blobs, layers, images and their names; and writable directories
 * of containers.
 *
 *   blobs/sha256/<hex>     content-addressed files (an OCI image layout together with oci-layout
 * and index.json) layers/<hex>/diff      one directory of changes per chain id, overlayfs form
 * (whiteouts are 0:0 character devices) tmp/                   everything unfinished; emptied on
 * open
 *
 * The record (tables blob, layer, image, tag) is committed before files get their final name, so
 * that a crash leaves either nothing or something that is known; store_open repairs the rest. All
 * functions may be called from any thread. */
#ifndef BERTH_STORE_STORE_H
#define BERTH_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/stream.h"
#include "base/strv.h"
#include "record/database.h"
#include "spec/image.h"
#include "spec/reference.h"

#define DIGEST_TEXT_SIZE 72 /* "sha256:<64 hex>" and NUL */

struct store;

struct store_options {
    const char *data_path;      /* the data root */
    const char *driver;         /* "overlay2", "vfs" or NULL: the best that works */
    uint64_t layer_size_limit;  /* of one unpacked layer; 0: 64 GiB */
    uint64_t entry_count_limit; /* of one archive; 0: 4 million */
    uint64_t ratio_limit;       /* plain to compressed; 0: 1000 */
    /* Removes trees that nobody knows any more, at once or later: what is left of them is handed to
     * it again by the next opening. NULL: the store waits for it. */
    void (*discard)(void *data, struct strv *paths);
    void *discard_data;
};
int store_open(const struct store_options *options, struct database *database, struct store **out,
               struct error *err);
void store_close(struct store *store);
CLEANUP_POINTER(store_close, struct store)
const char *store_driver(const struct store *store); /* "overlay2" or "vfs" */

/* ---- blobs ---- */

/* Writes a blob: collect with blob_writer_add, then finish; 'expected_digest' may be NULL. INVALID
 * if size (-1: unknown) or digest differ; then nothing is kept. */
struct blob_writer;
int blob_writer_new(struct store *store, struct blob_writer **out, struct error *err);
int blob_writer_add(struct blob_writer *writer, const void *data, size_t size, struct error *err);
int blob_writer_finish(struct blob_writer *writer, const char *expected_digest,
                       int64_t expected_size, char out_digest[DIGEST_TEXT_SIZE], struct error *err);
void blob_writer_free(struct blob_writer *writer); /* unfinished: removes it */
CLEANUP_POINTER(blob_writer_free, struct blob_writer)
int blob_put(struct store *store, const void *data, size_t size, char out_digest[DIGEST_TEXT_SIZE],
             struct error *err);
int blob_open(struct store *store, const char *digest, int *out_fd, int64_t *out_size,
              struct error *err);
int blob_read(struct store *store, const char *digest, size_t limit, struct str *out,
              struct error *err);
bool blob_exists(struct store *store, const char *digest);
/* blob_writer_finish for a blob whose media type is known: a layer, or the manifest of an image. */
int blob_writer_finish_as(struct blob_writer *writer, const char *expected_digest,
                          int64_t expected_size, const char *media_type,
                          char out_digest[DIGEST_TEXT_SIZE], struct error *err);
/* Records the media type of a blob that is there already. */
int blob_describe(struct store *store, const char *digest, const char *media_type,
                  struct error *err);
/* What a blob was recorded as; NULL if nothing was said. The text is yours. */
char *blob_media_type(struct store *store, const char *digest);

/* A blob that was just written is claimed by its writer, so that no collection takes it before a
 * layer or an image names it. blob_claim does the same for one that is there (false: it is not).
 * Each claim ends with blob_release, which leaves the blob for the next collection to judge, or
 * with blob_discard, which removes it at once unless something names or claims it. */
bool blob_claim(struct store *store, const char *digest);
void blob_release(struct store *store, const char *digest);
void blob_discard(struct store *store, const char *digest);

/* ---- layers ---- */

struct layer {
    char chain_id[DIGEST_TEXT_SIZE];    /* names the directory */
    char parent_id[DIGEST_TEXT_SIZE];   /* chain id below, "" for a base */
    char diff_id[DIGEST_TEXT_SIZE];     /* digest of the layer as a plain tar */
    char blob_digest[DIGEST_TEXT_SIZE]; /* compressed form that is kept, "" if none */
    int64_t size_bytes;                 /* of its files */
};

/* Unpacks an archive (plain or compressed) over 'parent_id' ("" for a base). Its diff id is that of
 * the archive's plain bytes: a compressed archive is kept, of a plain one an outline
 * (store/outline.h). With 'canonical', and of a plain one that has no outline, the directory is
 * serialised anew (store_layer_write), and that is what counts. Hostile archives are contained:
 * names are resolved inside the layer, "..", absolute names, links and devices cannot reach
 * outside; limits are named in the error. If the layer exists already, it is reused.
 */
int store_layer_unpack(struct store *store, const char *parent_id, struct stream *archive,
                       bool canonical, struct layer *out, struct error *err);

/* Where the archive of a layer is, and what it must be. */
struct layer_source {
    const char *blob_digest; /* plain or compressed; verified when it was written */
    const char *diff_id;     /* INVALID unless the plain bytes have this digest */
    /* Told now and then how many bytes of the blob are used; anything but 0 ends it: CANCELLED. */
    int (*progress)(void *data, int64_t done, int64_t total);
    /* Layers are unpacked side by side: called before anything of the parent is looked at, at the
     * end as a rule; waits until it is there. NULL: it is. */
    int (*await_parent)(void *data, struct error *err);
    void *data;
};
/* store_layer_unpack for an archive that is a blob already. A compressed one stays, and is what
 * layer.blob_digest says; a plain one need not stay: an outline is kept, or its bytes, compressed,
 * where it has none. The caller's claim on the blob goes on. */
int store_layer_unpack_blob(struct store *store, const char *parent_id,
                            const struct layer_source *source, struct layer *out,
                            struct error *err);

/* A file without a name below the data root, for what is too large for memory; -1 on error. */
int store_temporary_file(struct store *store, struct error *err);
/* The size of the layer as a plain tar. */
int store_layer_plain_size(struct store *store, const char *chain_id, int64_t *out_size,
                           struct error *err);
/* What becomes of a layer that is compressed. */
struct layer_compressed {
    _Atomic int64_t plain_size;    /* that went in so far */
    char digest[DIGEST_TEXT_SIZE]; /* both at the end of the stream */
    int64_t size;
};
/* The layer as gzip, always the same bytes by one version of berth, as a stream that compresses
 * while it is read. Its end is told only if the plain bytes had the layer's diff id (INTERNAL
 * else); then '*out' is whole, and remembered. */
int store_layer_compress(struct store *store, const char *chain_id, struct layer_compressed *out,
                         struct stream **out_stream, struct error *err);
/* What store_layer_compress gave for these plain bytes; false if it was not asked yet. */
bool store_layer_compressed(struct store *store, const char *diff_id,
                            char out_digest[DIGEST_TEXT_SIZE], int64_t *out_size);

/* A directory to change things in: overlay upper and work directories under tmp/ (build steps) or a
 * given place (containers). */
struct writable {
    char *diff_path, *work_path; /* work_path NULL with vfs */
    char *top_path;              /* holds both */
    const char *init_path; /* borrowed: a directory between the layers and the changes, NULL: none.
                            * With vfs its entries are copied to where nothing is yet. */
};
int store_writable_new(struct store *store, struct writable *out, struct error *err); /* in tmp/ */
int store_writable_at(
    struct store *store, const char *path, const char *chain_id, struct writable *out,
    struct error *err); /* made if missing; with vfs filled with a copy of the layers */
int store_writable_remove(struct store *store, struct writable *writable, struct error *err);
void writable_done(struct writable *writable);
CLEANUP_VALUE(writable_done, struct writable)

/* What somebody knows of the contents of files in 'writable', by what stat(2) says of them. */
#define LAYER_CONTENT_HEX_SIZE 65
struct layer_contents {
    bool (*find)(void *data, const struct stat *file, char out_hex[LAYER_CONTENT_HEX_SIZE]);
    void *data;
    int64_t size_bytes; /* of all that are known */
};

/* Makes what was changed in 'writable' (from store_writable_new, mounted or not; consumed) a layer
 * over 'parent_id'. An empty change gives a layer with no entries. 'known' (may be NULL) saves
 * reading files for the layer's digest. */
int store_layer_commit(struct store *store, const char *parent_id, struct writable *writable,
                       const struct layer_contents *known, struct layer *out, struct error *err);
/* The same from a container's live directory, which stays as it is (docker commit): copies. */
int store_layer_copy(struct store *store, const char *parent_id, const struct writable *writable,
                     struct layer *out, struct error *err);

/* Whether a layer has no entries: images leave such a one out. */
bool store_layer_is_empty(const struct layer *layer);

/* What 'writable' changes in the layers below 'chain_id' and its init directory: called for each
 * path
 * ("/etc/passwd"), a directory before what is in it. Directories that hold changes count as
 * modified. */
enum store_change { CHANGE_MODIFIED, CHANGE_ADDED, CHANGE_DELETED };
typedef int store_change_visitor(void *data, const char *path, enum store_change kind,
                                 struct error *err);
int store_changes(struct store *store, const char *chain_id, const struct writable *writable,
                  store_change_visitor *visit, void *data, struct error *err);

/* Mounts the layers below 'chain_id' ("" is an empty directory), changes going to 'writable' (NULL:
 * read-only), as a DETACHED mount: it is seen in no namespace, and ends with its descriptor or with
 * the namespace it is moved into. */
int store_mount(struct store *store, const char *chain_id, const struct writable *writable,
                int *out_mount_fd, struct error *err);
/* The same with all owners seen through a user namespace: number N on disk is that namespace's
 * user N (-1: owners as they are). UNSUPPORTED if the file system cannot do that. */
int store_mount_mapped(struct store *store, const char *chain_id, const struct writable *writable,
                       int user_namespace_fd, int *out_mount_fd, struct error *err);
/* Lower directories for GraphDriver.Data, top first, joined by ':'. */
char *store_lower_paths(struct store *store, const char *chain_id);

int store_layer_get(struct store *store, const char *chain_id, struct layer *out,
                    struct error *err);
/* The layer as a plain tar: its kept blob inflated, or the canonical form (sorted, whiteouts as
 * .wh. files). The digest of what comes out is diff_id. */
int store_layer_write(struct store *store, const char *chain_id, struct stream *out,
                      struct error *err);

/* ---- images ---- */

struct image {
    char id[DIGEST_TEXT_SIZE];        /* digest of the configuration */
    char chain_id[DIGEST_TEXT_SIZE];  /* top layer, "" if there are no layers */
    char parent_id[DIGEST_TEXT_SIZE]; /* image that a build step made this one of, "" if none */
    int64_t created_ns, size_bytes, tagged_ns;
    struct image_config config;
    struct strv tags;    /* familiar "name:tag", sorted */
    struct strv digests; /* familiar "name@sha256:…" */
};
void image_unref(struct image *image);
struct image *image_ref(struct image *image); /* immutable and shared */
CLEANUP_POINTER(image_unref, struct image)

/* Records an image whose layers are all there. 'config' is encoded here, its digest is the id.
 * 'parent_id' "" or an image. Creating the same again gives the same. */
int store_image_create(struct store *store, const struct image_config *config,
                       const char *parent_id, struct image **out, struct error *err);
/* From configuration bytes that must be kept as they are (pull, load). */
int store_image_create_raw(struct store *store, const void *config, size_t size, struct image **out,
                           struct error *err);

/* The same, with the manifest that the image came with: a blob whose media type is recorded.
 * 'is_held': as store_image_create_held. */
int store_image_create_from(struct store *store, const void *config, size_t size,
                            const char *manifest_digest, bool is_held, struct image **out,
                            struct error *err);
/* The manifest that the image came with; false if it was made here. */
bool store_image_manifest(struct store *store, const char *image_id,
                          char out_digest[DIGEST_TEXT_SIZE]);

/* Finds by full or partial id ("sha256:" optional), reference with default tag, or digest
 * (spec/api.md 1.9). NOT_FOUND "No such image: x:latest" (default tag added). INVALID for text that
 * is no reference. Ambiguous prefix: INVALID. */
int store_image_find(struct store *store, const char *text, struct image **out, struct error *err);
/* All images, newest first; 'out' is an array of references, freed with store_images_free. */
int store_image_list(struct store *store, struct image ***out, size_t *out_count,
                     struct error *err);
void store_images_free(struct image **images, size_t count);

/* Adds the chain ids of the image's layers to a set that nobody else fills: what is in it is there
 * with all that is below. Returns the bytes of those that were not. */
int64_t store_image_add_layers(struct store *store, const struct image *image, struct map *set);
/* Of each of the images, the bytes of those layers that others of them have too. */
void store_images_shared(struct store *store, struct image *const *images, size_t image_count,
                         int64_t *out_bytes);

/* Names an image; a name that another image had moves (that one may become dangling). INVALID for
 * names that would look like an id (reference_name_check). */
int store_image_tag(struct store *store, const char *image_id, const struct reference *reference,
                    struct error *err);
int store_image_untag(struct store *store, const char *familiar_name, struct error *err);

/* Removes the record of an image, its names, and all layers and blobs that nothing uses any more.
 * 'in_use' (may be NULL) is asked for chain ids that must stay (containers); it may read from the
 * store, but neither change it nor wait for a lock under which somebody does. The chain ids that
 * went are added to 'out_removed_layers' (may be NULL), those on top first. */
int store_image_remove(struct store *store, const char *image_id,
                       bool (*in_use)(void *data, const char *chain_id), void *data,
                       struct strv *out_removed_layers, struct error *err);
/* The same, but only while the image has no name: CONFLICT if it got one. */
int store_image_remove_nameless(struct store *store, const char *image_id,
                                bool (*in_use)(void *data, const char *chain_id), void *data,
                                struct strv *out_removed_layers, struct error *err);
/* The same, but only while it is unwanted: store_image_let_go said that it is to go, no build holds
 * it again, and it has no name. CONFLICT. */
int store_image_remove_unwanted(struct store *store, const char *image_id,
                                bool (*in_use)(void *data, const char *chain_id), void *data,
                                struct strv *out_removed_layers, struct error *err);
/* Removes several at once, as one change: those that are still what these snapshots say, that no
 * build holds, and that have no children but ones that go along. The ids of the images and of the
 * layers that went are added to the lists. */
int store_images_remove(struct store *store, struct image *const *images, size_t count,
                        bool (*in_use)(void *data, const char *chain_id), void *data,
                        struct strv *out_removed, struct strv *out_removed_layers,
                        struct error *err);
bool store_image_has_children(struct store *store, const char *image_id);

/* A build holds the image that it made until its outputs have it: a held image is not removed
 * (CONFLICT). Several builds may make the same image, some of which want it to stay.
 * store_image_hold is for one that is there; false: it is not (any more). store_image_create_held
 * is store_image_create, and holds it. */
bool store_image_hold(struct store *store, const char *image_id);
int store_image_create_held(struct store *store, const struct image_config *config,
                            const char *parent_id, struct image **out, struct error *err);
/* Ends it; 'is_wanted': the image stays, whatever the others say. True if it is to go: no build
 * holds it any more or wanted it, and it came to be by one of them. */
bool store_image_let_go(struct store *store, const char *image_id, bool is_wanted);
bool store_image_is_held(struct store *store, const char *image_id);

/* A layer that is in use though no image names it (a build in progress) is held against removal.
 * One that was just unpacked, committed or copied stays until an image is made of it or until it is
 * released; holding it takes that over, so that one release is enough. */
void store_layer_hold(struct store *store, const char *chain_id);
void store_layer_release(struct store *store, const char *chain_id);
/* Removes layers and blobs that nothing uses. */
int store_collect(struct store *store, bool (*in_use)(void *data, const char *chain_id), void *data,
                  struct error *err);

/* Bytes of all layers together, each once. */
int64_t store_layers_size(struct store *store);

/* Reads all blobs: a line for each whose bytes have another digest than its name says. */
int store_rehash(struct store *store, struct strv *out, struct error *err);
/* Beside everything else that goes on: removes what is on disk and not recorded, writes
 * configurations that are missing or wrong again from the record. */
int store_repair_running(struct store *store, struct error *err);
/* Compares record and disk: one line of text per difference is added to 'out'. */
int store_verify(struct store *store, struct strv *out, struct error *err);

#endif
