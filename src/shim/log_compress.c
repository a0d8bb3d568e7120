/* The child gets two descriptors and knows no names; names change here only. */
#include "shim/log_compress.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "shim/log_files.h"

#include "base/banned.h"

#define LOG_MODE 0640

struct log_compressor {
    char *path, *temporary_path;
    int max_files, program_fd;
    pid_t pid; /* 0: nothing is going on */
    struct log_identity identity;
};

struct log_compressor *log_compressor_new(const char *path, int max_files, int program_fd)
{
    struct log_compressor *compressor = NEW(struct log_compressor);

    compressor->path = xstrdup(path);
    compressor->temporary_path = xasprintf("%s.gz.new", path);
    compressor->max_files = max_files;
    compressor->program_fd = program_fd;
    unlink(compressor->temporary_path);
    return compressor;
}

static void begin(struct log_compressor *compressor, int index)
{
    CLEANUP(free) char *name = log_file_path(compressor->path, index, false);
    CLEANUP(free) char *program = xasprintf("/proc/self/fd/%d", compressor->program_fd);
    CLEANUP(close) int from_fd = open(name, O_RDONLY | O_CLOEXEC);
    CLEANUP(close)
    int to_fd = open(compressor->temporary_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                     LOG_MODE);
    char *const arguments[] = { "berth-log", "compress", NULL };
    struct process_options process = {
        .path = program, .arguments = arguments, .fds = { from_fd, to_fd, -1 }, .fd_count = 3
    };

    if (from_fd < 0 || to_fd < 0 || !log_identity_read(from_fd, false, &compressor->identity) ||
        process_spawn(&process, &compressor->pid, NULL) < 0) {
        compressor->pid = 0;
        unlink(compressor->temporary_path);
    }
}

void log_compressor_wake(struct log_compressor *compressor)
{
    struct log_identity ignored;

    if (!compressor || compressor->pid)
        return;
    for (int i = compressor->max_files - 1; i >= 1; i--)
        if (log_identity_find(compressor->path, i, false, &ignored)) {
            begin(compressor, i);
            return;
        }
}

/* The index that the plain file has by now; 0 if it was removed meanwhile. */
static int find_index(const struct log_compressor *compressor)
{
    for (int i = 1; i < compressor->max_files; i++) {
        struct log_identity found;

        if (log_identity_find(compressor->path, i, false, &found) &&
            log_identity_equal(&found, &compressor->identity))
            return i;
    }
    return 0;
}

bool log_compressor_ended(struct log_compressor *compressor, pid_t pid, int status)
{
    if (!compressor || pid != compressor->pid)
        return false;
    int index = status == 0 ? find_index(compressor) : 0;
    CLEANUP(free) char *plain = log_file_path(compressor->path, index, false);
    CLEANUP(free) char *gzipped = log_file_path(compressor->path, index, true);

    compressor->pid = 0;
    if (index > 0 && rename(compressor->temporary_path, gzipped) == 0)
        unlink(plain);
    else
        unlink(compressor->temporary_path);
    if (status == 0) /* otherwise not before the next rotation: the disk may be full */
        log_compressor_wake(compressor);
    return true;
}

void log_compressor_free(struct log_compressor *compressor)
{
    if (!compressor)
        return;
    free(compressor->path);
    free(compressor->temporary_path);
    free(compressor);
}
