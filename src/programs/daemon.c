/* berthd: the engine behind its API. Containers go on when it ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "api/api.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"
#include "programs/daemon_listen.h"
#include "programs/daemon_options.h"
#include "programs/service.h"

#include "base/banned.h"

/* What the engine has open before its first container, with room for one. */
enum { DESCRIPTORS_LEAST = 512 };

struct daemon {
    int argc;
    char **argv;
    struct daemon_options options;
    struct daemon_sockets sockets;
    struct engine *engine;
    struct api *api;
    struct http_server *server, *metrics; /* 'metrics': none without an address */
    int data_lock_fd, pid_fd;
};

/* ---- locks ---- */

/* Opens (makes) a file and locks it as long as the daemon lives. */
static int lock_file(const char *path, int *out_fd, struct error *err)
{
    CLEANUP(close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0)
        return error_sys(err, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return error_set(err, ERROR_CONFLICT, "another berthd holds %s", path);
        return error_sys(err, "lock %s", path);
    }
    *out_fd = TAKE_FD(fd);
    return 0;
}

static int write_pid(struct daemon *daemon, struct error *err)
{
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (lock_file(daemon->options.pid_path, &daemon->pid_fd, err) < 0)
        return -1;
    if (ftruncate(daemon->pid_fd, 0) < 0)
        return error_sys(err, "write %s", daemon->options.pid_path);
    return fd_write_all(daemon->pid_fd, text, (size_t)length, err);
}

/* The run directory may be walked through, for the socket in it; all else is root's alone. */
static int take_directories(struct daemon *daemon, struct error *err)
{
    const struct daemon_options *options = &daemon->options;
    CLEANUP(free) char *lock_path = path_join(options->data_root, "berthd.lock");

    if (dir_make(options->data_root, 0700, err) < 0 || dir_make(options->exec_root, 0711, err) < 0)
        return -1;
    if (lock_file(lock_path, &daemon->data_lock_fd, err) < 0)
        return error_context(err, "data root");
    return write_pid(daemon, err);
}

/* ---- start and end ---- */

static int set_log(const struct daemon_options *options, struct error *err)
{
    enum log_level level;

    if (log_level_parse(options->log_level, &level, err) < 0)
        return -1;
    log_set_level(options->debug ? LOG_DEBUG : level);
    log_set_json(strcmp(options->log_format, "json") == 0);
    return 0;
}

/* Counters only: they may be read by those who must not do anything else here. */
static int serve_metrics(struct daemon *daemon, struct error *err)
{
    const char *address = daemon->options.metrics_address;
    int fd;

    if (text_is_empty(address))
        return 0;
    if (http_listen_tcp(address, &fd, err) < 0)
        return error_context(err, "metrics-addr");
    daemon->metrics = http_server_new(NULL, api_handle_metrics, daemon->api);
    if (http_server_listen(daemon->metrics, fd, NULL, err) < 0)
        return -1;
    log_info("metrics listen", "address", address);
    return 0;
}

/* For all that is fetched, in both spellings: libcurl reads one, other programs the other. Before
 * there are threads. */
static void spread_proxies(const struct engine_options *engine)
{
    const struct {
        const char *upper, *lower, *value;
    } proxies[] = { { "HTTP_PROXY", "http_proxy", engine->http_proxy },
                    { "HTTPS_PROXY", "https_proxy", engine->https_proxy },
                    { "NO_PROXY", "no_proxy", engine->no_proxy } };

    for (size_t i = 0; i < COUNT(proxies); i++) {
        CLEANUP(free) char *value = xstrdup(proxies[i].value ?: "");

        if (!*value)
            continue;
        setenv(proxies[i].upper, value, 1);
        setenv(proxies[i].lower, value, 1);
    }
}

static int daemon_start(struct daemon *daemon, struct error *err)
{
    struct engine_options engine;

    daemon_options_engine(&daemon->options, &engine);
    spread_proxies(&engine);
    daemon_options_engine(&daemon->options, &engine);
    if (take_directories(daemon, err) < 0 ||
        daemon_sockets_open(&daemon->options, &daemon->sockets, err) < 0 ||
        engine_open(&engine, &daemon->engine, err) < 0)
        return -1;
    daemon->api = api_new(daemon->engine);
    daemon->server = http_server_new(NULL, api_handle, daemon->api);
    if (daemon_sockets_serve(&daemon->sockets, daemon->server, err) < 0 ||
        serve_metrics(daemon, err) < 0)
        return -1;
    for (size_t i = 0; i < daemon->options.hosts.count; i++)
        log_info("API listens", "host", daemon->options.hosts.items[i]);
    service_notify("READY=1");
    return 0;
}

/* --remove-kernel-objects: the last act of an engine that is not to come back. */
static int daemon_remove_kernel_objects(struct daemon *daemon, struct error *err)
{
    struct engine_options engine;

    daemon_options_engine(&daemon->options, &engine);
    if (take_directories(daemon, err) < 0 || engine_open(&engine, &daemon->engine, err) < 0)
        return -1;
    return engine_destroy_kernel_objects(daemon->engine, err);
}

static void daemon_stop(struct daemon *daemon)
{
    int timeout_s = (int)MIN(daemon->options.shutdown_timeout_s, 3600);

    /* Requests that wait for something sick keep the engine; the record is whole at any moment. */
    bool is_read = daemon->metrics && !http_server_stop(daemon->metrics, 1000);
    bool is_quiet = !daemon->server || http_server_stop(daemon->server, timeout_s * 1000);
    is_quiet = is_quiet && !is_read;
    if (!is_quiet)
        log_warn("requests that do not end are left behind");
    if (is_quiet)
        api_free(daemon->api);
    if (is_quiet && daemon->engine)
        engine_close(daemon->engine);
    daemon_sockets_done(&daemon->sockets);
    if (daemon->pid_fd >= 0) {
        unlink(daemon->options.pid_path);
        close(daemon->pid_fd);
    }
    if (daemon->data_lock_fd >= 0)
        close(daemon->data_lock_fd);
    daemon_options_done(&daemon->options);
}

/* ---- signals ---- */

/* Reads the configuration again: what the engine can change while it runs takes effect. */
static void reload(struct daemon *daemon)
{
    CLEANUP(daemon_options_done) struct daemon_options options = {};
    struct engine_options engine;
    struct error err;

    if (daemon_options_read(daemon->argc, daemon->argv, &options, &err) < 0 ||
        set_log(&options, &err) < 0) {
        log_error("configuration is not reloaded", "error", err.text);
        return;
    }
    daemon_options_engine(&options, &engine);
    if (engine_reload(daemon->engine, &engine, &err) < 0) {
        log_error("configuration is not reloaded", "error", err.text);
        return;
    }
    log_info("configuration is reloaded");
}

/* Blocks the signals that serve() waits for, in this thread and all that it starts. */
static void block_signals(sigset_t *out)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(out);
    sigaddset(out, SIGTERM);
    sigaddset(out, SIGINT);
    sigaddset(out, SIGHUP);
    pthread_sigmask(SIG_BLOCK, out, NULL);
}

static void serve(struct daemon *daemon, const sigset_t *signals)
{
    for (;;) {
        int number = sigwaitinfo(signals, NULL);

        if (number == SIGHUP)
            reload(daemon);
        if (number == SIGTERM || number == SIGINT)
            break;
    }
    /* A second one ends the daemon at once. */
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    service_notify("STOPPING=1");
    log_info("shutting down; containers go on");
}

int main(int argc, char **argv)
{
    struct daemon daemon = { .argc = argc, .argv = argv, .data_lock_fd = -1, .pid_fd = -1 };
    struct error err = {};
    sigset_t signals;

    umask(0022);
    heap_set_up();
    if (daemon_options_read(argc, argv, &daemon.options, &err) < 0 ||
        (daemon.options.log_level && set_log(&daemon.options, &err) < 0)) {
        fprintf(stderr, "berthd: %s\n", err.text);
        return 1;
    }
    if (daemon.options.help || daemon.options.version || daemon.options.validate) {
        if (daemon.options.help)
            daemon_options_print_help();
        else
            puts(daemon.options.version ? "berthd version " BERTH_VERSION : "configuration OK");
        daemon_options_done(&daemon.options);
        return 0;
    }
    block_signals(&signals);

    bool removes = daemon.options.remove_kernel_objects;
    bool started = process_raise_descriptor_limit(DESCRIPTORS_LEAST, &err) == 0 &&
                   (removes ? daemon_remove_kernel_objects(&daemon, &err)
                            : daemon_start(&daemon, &err)) == 0;
    if (started && !removes)
        serve(&daemon, &signals);
    else if (!started)
        log_error("cannot start", "error", err.text);
    daemon_stop(&daemon);
    return started ? 0 : 1;
}
