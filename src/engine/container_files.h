/* Copying files out of containers and into them (docker cp), exporting them whole, and what they
 * changed (docker diff). Paths are the client's: looked up in the container's root as if it were
 * "/", its volumes mounted, whether it runs or not. */
#ifndef BERTH_ENGINE_CONTAINER_FILES_H
#define BERTH_ENGINE_CONTAINER_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/stream.h"
#include "engine/engine.h"
#include "store/store.h"

/* What X-Docker-Container-Path-Stat says. Zero it first. */
struct path_stat {
    char *name; /* last element of the path, "/" or "." */
    int64_t size, mtime_ns;
    uint32_t mode;     /* as Go's os.FileMode has it */
    char *link_target; /* where a symbolic link leads in the end, "" for other files */
};
void path_stat_done(struct path_stat *status);
CLEANUP_VALUE(path_stat_done, struct path_stat)

/* INVALID for an empty path; NOT_FOUND "Could not find the file x in container y". The last element
 * is not followed if it is a link, unless "/" or "/." comes after it. */
int engine_container_stat(struct engine *engine, const char *text, const char *path,
                          struct path_stat *out, struct error *err);

/* Files on their way out: opened first, so that what is wrong is told before the stream begins. */
struct container_files;
int engine_container_files_open(struct engine *engine, const char *text, const char *path,
                                struct container_files **out, struct path_stat *out_stat,
                                struct error *err);
/* The whole root, without what is mounted in it. */
int engine_container_export_open(struct engine *engine, const char *text,
                                 struct container_files **out, struct error *err);
/* Writes a plain tar. CANCELLED when the container is removed meanwhile. */
int container_files_write(struct container_files *files, struct stream *out, struct error *err);
/* The one file that is to be copied, for a client on this machine who does the copying himself:
 * open for reading, to be closed by the caller. -1 (and no error) if it is better sent as an
 * archive: no regular file, too small to be worth it, or one that says what it may do when it is
 * run, which a descriptor must not carry out of here. */
int container_files_share(const struct container_files *files);
int container_files_cancel_fd(const struct container_files *files); /* the container is removed */
void container_files_close(struct container_files *files);
CLEANUP_POINTER(container_files_close, struct container_files)

/* Unpacks 'archive' (a tar, compressed or not; borrowed) below a directory that is there. INVALID
 * if it is none, or read-only. 'keeps_kinds': no directory gives way to another file, nor the other
 * way round. 'is_owned_by_user': everything gets the owner that the container runs as, if it names
 * one; otherwise owners are those of the archive. */
struct extract_wish {
    bool keeps_kinds, is_owned_by_user;
};
int engine_container_extract(struct engine *engine, const char *text, const char *path,
                             const struct extract_wish *wish, struct stream *archive,
                             struct error *err);

/* The same for one regular file that a client on this machine has opened. */
struct file_source {
    int fd;
    const char *name; /* that it gets in the directory */
    int cancel_fd;    /* readable once the client is gone */
};
/* UNSUPPORTED for descriptors that are not fit to be copied from (file_copy_is_fit): nothing was
 * done then, and an archive is as good. */
int engine_container_put_file(struct engine *engine, const char *text, const char *path,
                              const struct extract_wish *wish, const struct file_source *source,
                              struct error *err);

/* What the container changed in its root, see store_changes. */
int engine_container_changes(struct engine *engine, const char *text, store_change_visitor *visit,
                             void *data, struct error *err);

#endif
