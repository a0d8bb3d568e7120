/* Further processes in running containers (docker exec). */
#ifndef BERTH_ENGINE_EXEC_H
#define BERTH_ENGINE_EXEC_H

#include "base/error.h"
#include "engine/engine.h"
#include "shim/shim.h"
#include "spec/container.h"

struct exec_info {
    int reference_count; /* private */
    char id[65], container_id[65];
    struct exec_config config;
    bool is_running, has_started, has_exited;
    int exit_code;
    pid_t pid;
};
void exec_info_unref(struct exec_info *info);
CLEANUP_POINTER(exec_info_unref, struct exec_info)

/* Texts: spec/api.md section 3. */
int engine_exec_create(struct engine *engine, const char *container,
                       const struct exec_config *config, char out_id[65], struct error *err);
int engine_exec_get(struct engine *engine, const char *id, struct exec_info **out,
                    struct error *err);

/* Errors that are told before the upgrade (not found, container paused or stopped, Detach on a
 * running one). */
int engine_exec_start_check(struct engine *engine, const char *id, bool detach, struct error *err);
/* 'console_size' (rows, columns; may be NULL) is that of the terminal, if there is one, instead of
 * what was said at creation. 'client_fd' (taken; -1: detached). If it fails after the upgrade, the
 * text is written to the client (framed if options->framed) and the exit code kept; the error is
 * returned too. */
int engine_exec_start(struct engine *engine, const char *id, const int64_t console_size[2],
                      int client_fd, const struct shim_stream_options *options, struct error *err);
int engine_exec_resize(struct engine *engine, const char *id, int height, int width,
                       struct error *err);

#endif
