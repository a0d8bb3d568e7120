/* COPY and ADD. */
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "build/copy_request.h"
#include "build/step.h"

#include "base/banned.h"

/* With --link the files are put together on nothing, so that no link of the image leads elsewhere
 * and no directory of it counts; the layer lies over the image all the same. Without overlayfs,
 * where changes are found by comparing, they go into the image as always. */
static int open_target(struct job *job, const struct stage *stage,
                       const struct copy_request *request, const struct writable *writable,
                       int *out_fd, struct error *err)
{
    struct store *store = job->builder->store;

    if (!request->is_linked || strcmp(store_driver(store), "overlay2") != 0)
        return store_mount(store, stage->chain_id, writable, out_fd, err);
    *out_fd = open(writable->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *out_fd < 0 ? error_sys(err, "open %s", writable->diff_path) : 0;
}

static int copy_into(struct job *job, const struct stage *stage, const struct copy_request *request,
                     const struct writable *writable, struct contents *contents, struct error *err)
{
    CLEANUP(close) int target_fd = -1;
    int accounts_fd;

    if (open_target(job, stage, request, writable, &target_fd, err) < 0)
        return -1;
    accounts_fd = request->owner.length > 0 ? job_mount(job, stage->chain_id, err) : -1;
    if (request->owner.length > 0 && accounts_fd < 0)
        return -1;
    return copy_request_carry_out(job, stage, request, writable->diff_path, target_fd, accounts_fd,
                                  contents, err);
}

static int copy_to_layer(struct job *job, struct stage *stage, struct copy_request *request,
                         struct layer *out, struct error *err)
{
    struct store *store = job->builder->store;
    CLEANUP(writable_done) struct writable writable = {};
    CLEANUP(contents_done) struct contents contents = {};
    int64_t began_ns = clock_wall_ns() - TIMES_SLACK_NS;

    if (copy_request_prepare(job, request, err) < 0 ||
        store_writable_new(store, &writable, err) < 0)
        return -1;
    if (copy_into(job, stage, request, &writable, &contents, err) < 0 ||
        times_settle_copy(job, stage, &writable, began_ns, err) < 0) {
        store_writable_remove(store, &writable, NULL);
        return -1;
    }

    const struct layer_contents known = contents_of_layer(&contents);
    return step_make_layer(job, stage, &writable, &known, out, err);
}

static void copy_key(const struct stage *stage, const struct copy_request *request,
                     const char *created_by, char out[DIGEST_SIZE])
{
    CLEANUP(cache_key_free) struct cache_key *key = cache_key_new();

    cache_key_add(key, stage->state_id);
    cache_key_add(key, created_by);
    if (request->is_linked)
        cache_key_add(key, "link");
    if (request->unpacks >= 0)
        cache_key_add(key, request->unpacks ? "unpack" : "no unpack");
    if (request->keeps_git_dir)
        cache_key_add(key, "keep-git-dir");
    cache_key_finish(key, out);
}

/* Does the history say all that matters for the result? */
static bool is_told_by_text(const struct copy_request *request)
{
    return !request->is_linked && request->unpacks < 0 && !request->keeps_git_dir;
}

static int carry_out(struct job *job, struct stage *stage, struct copy_request *request,
                     struct error *err)
{
    CLEANUP(free) char *digest = copy_request_digest(job, request, err);
    char key[DIGEST_SIZE];
    struct layer layer;

    if (!digest)
        return -1;
    CLEANUP(free) char *comment = copy_request_text(request, digest);
    CLEANUP(free) char *created_by = stage_comment(stage, comment);
    copy_key(stage, request, created_by, key);

    int found = step_probe(job, stage, key, is_told_by_text(request) ? created_by : NULL, err);
    if (found != 0)
        return MIN(found, 0);
    int made = copy_to_layer(job, stage, request, &layer, err);
    return made < 0 ? -1 : step_finish(job, stage, key, created_by, made > 0 ? &layer : NULL, err);
}

int step_copy(struct job *job, size_t stage_index, const struct instruction *instruction,
              const struct strv *arguments, const struct strv *environment, struct error *err)
{
    struct copy_request request = {};
    int result = copy_request_read(job, stage_index, instruction, arguments, environment, &request,
                                   err);

    if (result == 0)
        result = carry_out(job, &job->stages[stage_index], &request, err);
    copy_request_done(job, &request);
    return result;
}
