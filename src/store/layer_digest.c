/* Digests of layers. An archive cannot be hashed from the middle, but the hash can go on from where
 * an earlier one like it was the same: states along the way are kept, each under a key that stands
 * for all bytes before it. The key is made of what the archive says between contents and of the
 * digests of contents, so it is found without reading these. */
#include <endian.h>
#include <string.h>

#include "base/memory.h"
#include "codec/sha256.h"
#include "store/late_copy.h"
#include "store/layer.h"
#include "store/pack.h"

#include "base/banned.h"

#define STRIDE           ((int64_t)8 << 20)  /* of the archive, between two states */
#define WORTH_SIZE       ((int64_t)32 << 20) /* less is hashed in the time it takes to look */
#define READ_LIMIT       ((int64_t)16 << 20) /* for contents that have to be read for a key */
#define READ_COST        4096                /* of a small one */
#define STATE_COUNT_KEPT 4096
#define STATE_SIZE       32

/* A place in the archive that the hash may go on from. */
struct mark {
    int64_t at;
    char key[DIGEST_SIZE];
    struct sha256_state state;
    bool has_state; /* a new one */
};

struct marks {
    struct mark *items;
    size_t count;
};

static void marks_done(struct marks *marks)
{
    free(marks->items);
}
CLEANUP_VALUE(marks_done, struct marks)

static int64_t padded(int64_t size)
{
    return (size + 511) / 512 * 512;
}

/* ---- marks and their keys, without reading what is known ---- */

struct survey {
    struct stream stream;
    struct pack_contents contents;
    const struct layer_contents *known;
    struct sha256 *key;
    int64_t at, marked_at, read_size;
    struct marks *marks;
};

static int survey_write(struct stream *stream, const void *data, size_t size,
                        struct error *err UNUSED)
{
    struct survey *survey = CONTAINER_OF(stream, struct survey, stream);

    sha256_add(survey->key, data, size);
    survey->at += (int64_t)size;
    return 0;
}

static void add_mark(struct survey *survey)
{
    struct marks *marks = survey->marks;
    struct mark *mark;

    marks->items = xrealloc(marks->items, marks->count + 1, sizeof(*marks->items));
    mark = &marks->items[marks->count++];
    *mark = (struct mark){ .at = survey->at };
    sha256_finish(survey->key, mark->key);
    sha256_free(survey->key);
    survey->key = sha256_new();
    sha256_add(survey->key, mark->key, strlen(mark->key));
    survey->marked_at = survey->at;
}

static int read_digest(struct survey *survey, const struct stat *file, int fd,
                       char out_hex[LAYER_CONTENT_HEX_SIZE], struct error *err)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    CLEANUP(stream_close) struct stream *content = NULL;
    char block[16 * 1024], digest[DIGEST_SIZE];
    ssize_t count;

    survey->read_size += MAX(file->st_size, READ_COST);
    if (survey->read_size > READ_LIMIT)
        return error_set(err, ERROR_CANCELLED, "too much is not known");
    content = stream_hash_read(stream_from_fd(fd, false), hash);
    while ((count = stream_read(content, block, sizeof(block), err)) > 0)
        ;
    sha256_finish(hash, digest);
    memcpy(out_hex, digest_hex(digest), LAYER_CONTENT_HEX_SIZE);
    return (int)count;
}

static int survey_take(struct pack_contents *contents, const struct stat *file, int fd,
                       struct error *err)
{
    struct survey *survey = CONTAINER_OF(contents, struct survey, contents);
    char hex[LAYER_CONTENT_HEX_SIZE];

    if (!survey->known->find(survey->known->data, file, hex) &&
        read_digest(survey, file, fd, hex, err) < 0)
        return -1;
    sha256_add(survey->key, hex, strlen(hex));
    survey->at += padded(file->st_size);
    if (survey->at - survey->marked_at >= STRIDE)
        add_mark(survey);
    return 1;
}

/* As far as enough is known; what goes wrong goes wrong again when the archive is hashed. */
static void find_marks(int diff_fd, bool marks_by_name, const struct layer_contents *known,
                       struct marks *out)
{
    struct survey survey = { .stream.write = survey_write,
                             .contents.take = survey_take,
                             .known = known,
                             .key = sha256_new(),
                             .marks = out };

    pack_directory(diff_fd, PACK_LARGE_FIRST, marks_by_name, &survey.stream, &survey.contents, NULL,
                   NULL);
    sha256_free(survey.key);
}

/* ---- states that are kept ---- */

static bool find_state(struct store *store, struct mark *mark)
{
    CLEANUP(query_close) struct query *query = NULL;
    uint32_t words[8];
    size_t size;

    if (database_query(store->database, &query, NULL,
                       "SELECT words, size FROM archive_state WHERE key = ?", "s", mark->key) < 0 ||
        query_next(query, NULL) != 1)
        return false;
    const void *bytes = query_bytes(query, 0, &size);
    if (size != STATE_SIZE || query_int64(query, 1) != mark->at)
        return false;
    memcpy(words, bytes, STATE_SIZE);
    for (size_t i = 0; i < 8; i++)
        mark->state.words[i] = be32toh(words[i]);
    mark->state.size = (uint64_t)mark->at;
    return true;
}

static int put_state(struct store *store, const struct mark *mark, struct error *err)
{
    uint32_t words[8];

    for (size_t i = 0; i < 8; i++)
        words[i] = htobe32(mark->state.words[i]);
    return database_run(store->database, err,
                        "INSERT OR REPLACE INTO archive_state (key, size, words) VALUES (?, ?, ?)",
                        "sib", mark->key, mark->at, (const void *)words, (size_t)STATE_SIZE) < 0
               ? -1
               : 0;
}

static int put_states(struct store *store, const struct marks *marks, struct error *err)
{
    for (size_t i = 0; i < marks->count; i++)
        if (marks->items[i].has_state && put_state(store, &marks->items[i], err) < 0)
            return -1;
    return database_run(store->database, err,
                        "DELETE FROM archive_state"
                        " WHERE id <= (SELECT max(id) FROM archive_state) - ?",
                        "i", (int64_t)STATE_COUNT_KEPT) < 0
               ? -1
               : 0;
}

/* The next one takes longer if they cannot be kept; that is all. */
static void keep_states(struct store *store, const struct marks *marks)
{
    if (marks->count == 0 || !marks->items[marks->count - 1].has_state ||
        database_begin(store->database, RELAXED, NULL) < 0)
        return;
    if (put_states(store, marks, NULL) < 0)
        database_rollback(store->database);
    else
        database_commit(store->database, NULL);
}

/* ---- hashing ---- */

struct hashing {
    struct stream stream;
    struct pack_contents contents;
    struct sha256 *hash;
    struct late_copies *late; /* NULL: none */
    int64_t at, begins_at;    /* what is before is in the hash already */
    struct marks *marks;
    size_t next; /* mark */
};

static int hashing_write(struct stream *stream, const void *data, size_t size,
                         struct error *err UNUSED)
{
    struct hashing *hashing = CONTAINER_OF(stream, struct hashing, stream);

    if (hashing->at >= hashing->begins_at)
        sha256_add(hashing->hash, data, size);
    hashing->at += (int64_t)size;
    return 0;
}

/* Contents that are in the hash already are passed over, late ones go into it as they come. */
static int hashing_take(struct pack_contents *contents, const struct stat *file, int fd,
                        struct error *err)
{
    static const char zeros[512];
    struct hashing *hashing = CONTAINER_OF(contents, struct hashing, contents);
    int64_t size = padded(file->st_size);

    if (hashing->at >= hashing->begins_at) {
        int taken = hashing->late ? late_copies_follow(hashing->late, file, fd, hashing->hash, err)
                                  : 0;

        if (taken <= 0)
            return taken;
        sha256_add(hashing->hash, zeros, (size_t)(size - file->st_size));
    }
    hashing->at += size;
    return 1;
}

static void hashing_written(struct pack_contents *contents)
{
    struct hashing *hashing = CONTAINER_OF(contents, struct hashing, contents);
    struct marks *marks = hashing->marks;

    if (hashing->next == marks->count || hashing->at != marks->items[hashing->next].at)
        return;
    struct mark *mark = &marks->items[hashing->next++];
    mark->has_state = sha256_save(hashing->hash, &mark->state);
}

static void go_on(struct store *store, struct hashing *hashing)
{
    const struct marks *marks = hashing->marks;

    for (size_t i = marks->count; i-- > 0;)
        if (find_state(store, &marks->items[i])) {
            sha256_resume(hashing->hash, &marks->items[i].state);
            hashing->begins_at = marks->items[i].at;
            hashing->next = i + 1;
            return;
        }
}

int layer_digest(struct store *store, int diff_fd, const struct layer_contents *known,
                 struct late_copies *late, char out_digest[DIGEST_TEXT_SIZE], int64_t *out_size,
                 struct error *err)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    CLEANUP(marks_done) struct marks marks = {};
    bool marks_by_name = store->driver->marks_by_name;
    struct hashing hashing = { .stream.write = hashing_write,
                               .contents = { hashing_take, hashing_written },
                               .hash = hash,
                               .late = late,
                               .marks = &marks };

    if (known && known->size_bytes >= WORTH_SIZE)
        find_marks(diff_fd, marks_by_name, known, &marks);
    go_on(store, &hashing);
    if (pack_directory(diff_fd, PACK_LARGE_FIRST, marks_by_name, &hashing.stream, &hashing.contents,
                       out_size, err) < 0)
        return -1;
    if (late && late_copies_finish(late, err) < 0)
        return -1;
    keep_states(store, &marks);
    sha256_finish(hash, out_digest);
    return 0;
}
