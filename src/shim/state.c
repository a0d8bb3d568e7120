/* state.json of a bundle. */
#include "shim/state.h"

#include "base/file.h"

#include "base/banned.h"

#define STATE_NAME  "state.json"
#define STATE_LIMIT ((size_t)64 * 1024)

/* clang-format off */
static const struct json_field fields[] = {
    JSON_STRING(struct shim_state, status,      "status"),
    JSON_INT64 (struct shim_state, pid,         "pid"),
    JSON_INT64 (struct shim_state, shim_pid,    "shimPid"),
    JSON_INT64 (struct shim_state, exit_code,   "exitCode"),
    JSON_BOOL  (struct shim_state, oom_killed,  "oomKilled"),
    JSON_TIME  (struct shim_state, started_ns,  "startedAt"),
    JSON_TIME  (struct shim_state, exited_ns,   "exitedAt"),
    JSON_STRING(struct shim_state, cgroup_path, "cgroupPath"),
    JSON_END,
};
/* clang-format on */

int shim_state_write(const char *bundle_path, const struct shim_state *state, struct error *err)
{
    CLEANUP(free) char *path = path_join(bundle_path, STATE_NAME);
    CLEANUP(str_done) struct str text = {};

    json_encode(fields, state, &text);
    return file_write_atomic(path, text.data, text.length, 0600, false, err);
}

int shim_state_read(const char *bundle_path, struct shim_state *out, struct error *err)
{
    CLEANUP(free) char *path = path_join(bundle_path, STATE_NAME);
    CLEANUP(str_done) struct str text = {};

    if (file_read(path, STATE_LIMIT, &text, err) < 0)
        return -1;
    *out = (struct shim_state){};
    if (json_decode(fields, str_text(&text), text.length, out, err) < 0)
        return error_context(err, "%s", path);
    return 0;
}

void shim_state_remove(const char *bundle_path)
{
    CLEANUP(free) char *path = path_join(bundle_path, STATE_NAME);

    unlink(path);
}

void shim_state_done(struct shim_state *state)
{
    json_fields_done(fields, state);
}
