/* Contexts that come by a request of their own, and the builds that wait for them. */

#include "buildkit/upload.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "buildkit/internal.h"

#include "base/banned.h"

#define WAIT_STEP_NS (50 * NS_PER_MS)

/* On the stack of who uploads. */
struct upload {
    struct stream *archive;
    bool is_taken, is_read;
};

/* The end is a matter of the build alone once it has the archive. */
static int wait_until_read(struct buildkit *buildkit, const struct upload *upload, int cancel_fd,
                           struct error *err) REQUIRES(buildkit->lock)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)UPLOAD_WAIT_MS * NS_PER_MS;

    while (!upload->is_read) {
        condition_wait_until(&buildkit->uploads_changed, &buildkit->lock,
                             clock_monotonic_ns() + WAIT_STEP_NS);
        if (upload->is_taken)
            continue;
        if (fd_is_readable(cancel_fd))
            return error_set(err, ERROR_CANCELLED, "context canceled");
        if (clock_monotonic_ns() > end_ns)
            return error_set(err, ERROR_NOT_FOUND, "no build asks for this context");
    }
    return 0;
}

int buildkit_upload(struct buildkit *buildkit, const char *ref, struct stream *archive,
                    int cancel_fd, struct error *err)
{
    struct upload upload = { .archive = archive };
    int result;

    mutex_lock(&buildkit->lock);
    if (map_get(&buildkit->uploads, ref)) {
        result = error_set(err, ERROR_CONFLICT, "the context of build %s is there already", ref);
    } else {
        map_set(&buildkit->uploads, ref, &upload);
        condition_broadcast(&buildkit->uploads_changed);
        result = wait_until_read(buildkit, &upload, cancel_fd, err);
        map_remove(&buildkit->uploads, ref);
    }
    mutex_unlock(&buildkit->lock);
    return result;
}

int upload_take(struct buildkit *buildkit, const char *ref, int cancel_fd, struct stream **out,
                struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)UPLOAD_WAIT_MS * NS_PER_MS;
    struct upload *upload;
    int result = 0;

    mutex_lock(&buildkit->lock);
    while (!(upload = map_get(&buildkit->uploads, ref)) && result == 0) {
        condition_wait_until(&buildkit->uploads_changed, &buildkit->lock,
                             clock_monotonic_ns() + WAIT_STEP_NS);
        if (fd_is_readable(cancel_fd))
            result = error_set(err, ERROR_CANCELLED, "context canceled");
        else if (clock_monotonic_ns() > end_ns)
            result = error_set(err, ERROR_NOT_FOUND, "the context of build %s did not come", ref);
    }
    if (upload && upload->is_taken)
        result = error_set(err, ERROR_CONFLICT, "the context of build %s has a reader already",
                           ref);
    if (result == 0) {
        upload->is_taken = true;
        *out = upload->archive;
    }
    mutex_unlock(&buildkit->lock);
    return result;
}

void upload_end(struct buildkit *buildkit, const char *ref)
{
    mutex_lock(&buildkit->lock);
    struct upload *upload = map_get(&buildkit->uploads, ref);
    if (upload)
        upload->is_read = true;
    condition_broadcast(&buildkit->uploads_changed);
    mutex_unlock(&buildkit->lock);
}
