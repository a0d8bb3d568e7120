/* How fast a container's output becomes its log, and how fast the end of a long log is found:
 *   log_bench <directory> [MiB]
 * A child writes lines of 100 bytes into a pipe; this process reads them as a supervisor does. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "shim/log_read.h"
#include "shim/log_write.h"

#include "base/banned.h"

enum { LINE_SIZE = 100, BLOCK_SIZE = LINE_SIZE * 640, READ_SIZE = 128 * 1024, PIPE_SIZE = 1 << 20 };

static void write_lines(int fd, int64_t size)
{
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);

    for (int i = 0; i < BLOCK_SIZE; i++)
        block[i] = (char)((i + 1) % LINE_SIZE ? 'a' + i % 26 : '\n');
    for (; size > 0; size -= BLOCK_SIZE)
        if (fd_write_all(fd, block, BLOCK_SIZE, NULL) < 0)
            break;
}

static double seconds_since(uint64_t start_ns)
{
    return (double)(clock_monotonic_ns() - start_ns) / (double)NS_PER_S;
}

static int measure(const char *path, int64_t max_size, int64_t size, int64_t *out_end_ns,
                   struct error *err)
{
    struct shim_log_options options = {
        .driver = "json-file", .path = path, .max_size_bytes = max_size, .max_files = 5
    };
    CLEANUP(log_writer_close) struct log_writer *writer = NULL;
    CLEANUP(free) char *buffer = xmalloc(READ_SIZE);
    int pipe_fds[2];
    ssize_t count;

    log_files_remove(path);
    if (log_writer_open(&options, -1, &writer, err) < 0)
        return -1;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_sys(err, "create pipe");
    fcntl(pipe_fds[0], F_SETPIPE_SZ, PIPE_SIZE);
    uint64_t start_ns = clock_monotonic_ns();
    pid_t pid = fork();
    if (pid == 0) {
        write_lines(pipe_fds[1], size);
        _exit(0);
    }
    close(pipe_fds[1]);
    while ((count = read(pipe_fds[0], buffer, READ_SIZE)) > 0) {
        log_writer_add(writer, LOG_STDOUT, buffer, (size_t)count, clock_wall_ns());
        log_writer_flush(writer);
    }
    printf("write, %s: %.0f MB/s of output\n", max_size ? "5 files of 20 MB" : "one file",
           (double)size / 1e6 / seconds_since(start_ns));
    *out_end_ns = clock_wall_ns();
    close(pipe_fds[0]);
    waitpid(pid, NULL, 0);
    return 0;
}

static int measure_reading(const char *path, int64_t tail, int64_t since_ns, struct error *err)
{
    struct log_reader_options options = { .path = path,
                                          .tail = tail,
                                          .since_ns = since_ns,
                                          .stdout_wanted = true,
                                          .stderr_wanted = true };
    CLEANUP(log_reader_close) struct log_reader *reader = NULL;
    struct log_entry entry;
    uint64_t start_ns = clock_monotonic_ns();
    int64_t count = 0, size = 0;

    if (log_reader_open(&options, &reader, err) < 0)
        return -1;
    for (; log_reader_next(reader, &entry, err) > 0; count++)
        size += (int64_t)entry.size;
    printf("read, tail %lld%s: %lld entries in %.2f ms, %.0f MB/s\n", (long long)tail,
           since_ns ? ", since its end" : "", (long long)count, seconds_since(start_ns) * 1e3,
           (double)size / 1e6 / seconds_since(start_ns));
    return 0;
}

int main(int argc, char **argv)
{
    CLEANUP(free) char *path = path_join(argc > 1 ? argv[1] : ".", "bench-json.log");
    int64_t size = (argc > 2 ? strtoll(argv[2], NULL, 10) : 1024) << 20;
    struct error err = {};
    int64_t end_ns;

    if (measure(path, 20 * 1000 * 1000, size, &end_ns, &err) < 0 ||
        measure(path, 0, size, &end_ns, &err) < 0 || measure_reading(path, 10, 0, &err) < 0 ||
        measure_reading(path, -1, 0, &err) < 0 ||
        measure_reading(path, -1, end_ns - 20 * NS_PER_MS, &err) < 0)
        fprintf(stderr, "log_bench: %s\n", err.text);
    log_files_remove(path);
    return err.kind == ERROR_NONE ? 0 : 1;
}
