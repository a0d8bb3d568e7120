/* What attaching a container to a network costs while there are few and many on it:
 *   attach_bench [count]
 * Containers are empty network namespaces here. Needs root; nothing of the machine's own network is
 * touched. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "network/namespace.h"
#include "network/network.h"

#include "base/banned.h"

enum { SAMPLE = 50, COUNT_DEFAULT = 1000 };

/* A moment by the clock, and by what this thread has worked: others may want the processors, too.
 */
struct moment {
    double wall_ms, work_ms;
};

static struct moment now(void)
{
    struct timespec work;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &work);
    return (struct moment){ (double)clock_monotonic_ns() / (double)NS_PER_MS,
                            (double)work.tv_sec * 1e3 + (double)work.tv_nsec / 1e6 };
}

static struct moment since(struct moment start)
{
    struct moment end = now();

    return (struct moment){ end.wall_ms - start.wall_ms, end.work_ms - start.work_ms };
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct moment median(const struct moment *moments, size_t count)
{
    double wall[SAMPLE], work[SAMPLE];

    for (size_t i = 0; i < count; i++) {
        wall[i] = moments[i].wall_ms;
        work[i] = moments[i].work_ms;
    }
    qsort(wall, count, sizeof(double), compare);
    qsort(work, count, sizeof(double), compare);
    return (struct moment){ wall[count / 2], work[count / 2] };
}

static int attach_one(struct networks *networks, int home_fd, const struct network *network,
                      size_t number, const struct port_mapping *port, struct moment *making,
                      struct moment *attaching, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(endpoint_done) struct endpoint endpoint = {};
    struct endpoint_wish wish = { .network_id = network->id, .names = &names };
    struct moment start = now();
    char id[65], name[32];
    int fd, port_fds[2];

    snprintf(id, sizeof(id), "%064zx", number);
    snprintf(name, sizeof(name), "c%zu", number);
    strv_add(&names, name);
    strv_add_format(&names, "%.12s", id);
    wish.container_id = id;
    wish.container_name = name;
    wish.ports = port;
    wish.port_count = port != NULL;
    if (namespace_create(home_fd, &fd, err) < 0)
        return -1;
    *making = since(start);
    start = now();
    if (endpoint_attach(networks, &wish, fd, &endpoint, port_fds, err) < 0)
        return -1;
    *attaching = since(start);
    return 0;
}

static void print_line(const char *what, const struct moment *moments, size_t count)
{
    struct moment first = median(moments, SAMPLE);
    struct moment last = median(moments + count - SAMPLE, SAMPLE);

    printf("  %-20s first %d: %6.2f ms (%5.2f of work)   last %d: %6.2f ms (%5.2f of work)   "
           "%5.2f times (%.2f)\n",
           what, SAMPLE, first.wall_ms, first.work_ms, SAMPLE, last.wall_ms, last.work_ms,
           last.wall_ms / first.wall_ms, last.work_ms / first.work_ms);
}

static int measure(const char *directory, size_t count, bool with_port, struct error *err)
{
    CLEANUP(free) char *database_path = path_join(directory, with_port ? "ports.db" : "plain.db");
    CLEANUP(free) char *names_path = path_join(directory, "names");
    CLEANUP(free) struct moment *namespaces = xcalloc(count, sizeof(struct moment));
    CLEANUP(free) struct moment *attachments = xcalloc(count, sizeof(struct moment));
    struct networks_options options = { .engine_id = with_port ? "b1" : "b0",
                                        .names_path = names_path,
                                        .icc = true,
                                        .ip_forward = true,
                                        .ip_masquerade = true };
    struct network_create wish = { .name = "many" };
    CLEANUP(database_close) struct database *database = NULL;
    CLEANUP(networks_close) struct networks *networks = NULL;
    CLEANUP(network_unref) struct network *network = NULL;
    CLEANUP(close) int home_fd = -1;

    if (namespace_current(&home_fd, err) < 0 || database_open(database_path, &database, err) < 0 ||
        networks_open(&options, database, &networks, err) < 0 ||
        network_create(networks, &wish, &network, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct port_mapping port = { .protocol = "tcp",
                                     .host_port = (uint16_t)(10000 + i),
                                     .container_port = 80 };

        if (attach_one(networks, home_fd, network, i, with_port ? &port : NULL, &namespaces[i],
                       &attachments[i], err) < 0)
            return error_context(err, "container %zu", i + 1);
    }
    printf("%zu containers%s\n", count, with_port ? ", each with a published port" : "");
    print_line("making a namespace", namespaces, count);
    print_line("attaching it", attachments, count);
    return 0;
}

int main(int argc, char **argv)
{
    int64_t count = COUNT_DEFAULT;
    char directory[] = "/dev/shm/attach-bench-XXXXXX"; /* /run is such a file system, too */
    struct rlimit files = { 65536, 65536 };
    struct error err = {};
    int result = -1;

    if (argc > 1 && parse_int64(argv[1], 2 * SAMPLE, 1020, &count, &err) < 0) {
        fprintf(stderr, "attach_bench: %s\n", err.text);
        return 2;
    }
    if (!mkdtemp(directory))
        return 1;
    setrlimit(RLIMIT_NOFILE, &files);
    if (unshare(CLONE_NEWNET) < 0)
        error_sys(&err, "a network namespace for the bench (needs root)");
    else if (measure(directory, (size_t)count, false, &err) == 0)
        result = measure(directory, (size_t)count, true, &err);
    if (result < 0)
        fprintf(stderr, "attach_bench: %s\n", err.text);
    tree_remove(directory, NULL);
    return result < 0;
}
