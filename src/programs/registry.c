/* berth-registry: keeps images and hands them out. */
#include "distribution/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "programs/registry_options.h"
#include "programs/service.h"

#include "base/banned.h"

enum { STOP_TIMEOUT_MS = 20 * 1000 };

struct program {
    struct registry_settings settings;
    struct tls_context *tls;
    struct depot *depot;
    struct registry *registry;
    struct http_server *server, *debug_server;
};

static int open_depot(struct program *program, bool is_shared, struct error *err)
{
    const struct registry_settings *settings = &program->settings;
    const struct depot_options options = {
        .root_path = settings->root_path,
        .upload_age_ms = settings->upload_age_ns / NS_PER_MS,
        .grace_ms = settings->gc_grace_ns / NS_PER_MS,
        .manifest_age_ms = settings->proxy_url ? settings->proxy_keep_ns / NS_PER_MS : 0,
        .upload_count = settings->upload_count,
        .blob_size_limit = settings->blob_size_limit,
        .collects_untagged = settings->gc_untagged,
        .allows_sparse = settings->allow_sparse_index,
        .is_shared = is_shared,
    };

    return depot_open(&options, &program->depot, err);
}

/* ---- serving ---- */

static int listen_passed(struct program *program, struct error *err)
{
    int count = service_passed_count();
    bool is_tcp;

    if (count == 0)
        return error_set(err, ERROR_INVALID, "fd://: no sockets were passed (LISTEN_FDS)");
    for (int fd = SERVICE_FIRST_FD; fd < SERVICE_FIRST_FD + count; fd++)
        if (service_take_fd(fd, &is_tcp, err) < 0 ||
            http_server_listen(program->server, fd, is_tcp ? program->tls : NULL, err) < 0)
            return -1;
    return 0;
}

static int listen_on(struct program *program, const char *address, struct error *err)
{
    int fd;

    if (strcmp(address, "fd://") == 0)
        return listen_passed(program, err);
    if (http_listen_tcp(address, &fd, err) < 0)
        return -1;
    return http_server_listen(program->server, fd, program->tls, err);
}

static int start_tls(struct program *program, struct error *err)
{
    const struct registry_settings *settings = &program->settings;
    const struct tls_options options = { .ca_path = settings->tls_client_ca_path,
                                         .cert_path = settings->tls_cert_path,
                                         .key_path = settings->tls_key_path,
                                         .verify_peer = settings->tls_client_ca_path != NULL };

    return settings->tls_cert_path ? tls_server_new(&options, &program->tls, err) : 0;
}

static int start_debug(struct program *program, struct error *err)
{
    const struct strv *addresses = &program->settings.debug_listen;
    int fd;

    if (addresses->count == 0)
        return 0;
    program->debug_server = http_server_new(NULL, registry_handle_debug, program->registry);
    for (size_t i = 0; i < addresses->count; i++)
        if (http_listen_tcp(addresses->items[i], &fd, err) < 0 ||
            http_server_listen(program->debug_server, fd, NULL, err) < 0)
            return -1;
    return 0;
}

static int start(struct program *program, struct error *err)
{
    const struct registry_settings *settings = &program->settings;
    const struct registry_options options = {
        .is_read_only = settings->read_only,
        .refuses_delete = settings->no_delete,
        .logs_access = settings->access_log,
        .quotas = &settings->quotas,
        .proxy = { .url = settings->proxy_url,
                   .credentials_path = settings->proxy_credentials_path,
                   .fresh_ns = settings->proxy_fresh_ns },
        .event_urls = &settings->event_urls,
        .event_headers = &settings->event_headers,
        .authority = { .htpasswd_path = settings->htpasswd_path,
                       .realm = settings->realm,
                       .token_realm = settings->token_realm,
                       .token_service = settings->token_service,
                       .token_issuer = settings->token_issuer,
                       .token_keys_path = settings->token_keys_path,
                       .rules_path = settings->rules_path },
        .writer_limit = settings->upload_writers,
    };

    if (start_tls(program, err) < 0 || open_depot(program, false, err) < 0 ||
        registry_new(&options, program->depot, &program->registry, err) < 0)
        return -1;
    program->server = http_server_new(NULL, registry_handle, program->registry);
    for (size_t i = 0; i < settings->listen.count; i++) {
        if (listen_on(program, settings->listen.items[i], err) < 0)
            return -1;
        log_info("registry listens", "address", settings->listen.items[i]);
    }
    if (start_debug(program, err) < 0)
        return -1;
    service_notify("READY=1");
    return 0;
}

static void stop(struct program *program)
{
    http_server_stop(program->debug_server, STOP_TIMEOUT_MS);
    http_server_stop(program->server, STOP_TIMEOUT_MS);
    registry_free(program->registry);
    depot_close(program->depot);
    tls_context_free(program->tls);
    registry_settings_done(&program->settings);
}

static char *describe(const struct collection_report *report)
{
    CLEANUP(free) char *freed = text_human_size_binary(report->freed_bytes);

    return xasprintf("%" PRId64 " blobs, %" PRId64 " manifests, %" PRId64 " uploads, %" PRId64
                     " stray files, %s",
                     report->blobs, report->manifests, report->uploads, report->orphans, freed);
}

/* A signal that waits for us, as all are blocked. */
static bool is_ending(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

static void collect(struct program *program)
{
    struct collection_report report = {};
    struct error err = {};

    if (depot_collect(program->depot, is_ending, &report, &err) < 0) {
        log_error("garbage is not collected", "error", err.text);
        return;
    }
    CLEANUP(free) char *removed = describe(&report);
    log_info("garbage is collected", "removed", removed);
}

static void reload(struct program *program)
{
    struct error err = {};

    if (registry_reload(program->registry, &err) < 0)
        log_error("nothing is reloaded", "error", err.text);
    else
        log_info("passwords, keys and rules are reloaded");
}

static void block_signals(sigset_t *out)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(out);
    sigaddset(out, SIGTERM);
    sigaddset(out, SIGINT);
    sigaddset(out, SIGHUP);
    sigaddset(out, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, out, NULL);
}

/* Until it is told to end; collects now and then, and when it is asked to. */
static void serve(struct program *program, const sigset_t *signals)
{
    int64_t interval = program->settings.gc_interval_ns;
    uint64_t due = clock_monotonic_ns() + (uint64_t)interval;

    for (;;) {
        uint64_t now = clock_monotonic_ns();
        uint64_t left = due > now ? due - now : 0;
        struct timespec wait = { (time_t)(left / NS_PER_S), (long)(left % NS_PER_S) };
        int number = interval > 0 ? sigtimedwait(signals, NULL, &wait) : sigwaitinfo(signals, NULL);

        if (number == SIGTERM || number == SIGINT)
            break;
        if (number == SIGHUP)
            reload(program);
        if (number == SIGHUP || (number < 0 && errno != EAGAIN))
            continue;
        collect(program);
        due = clock_monotonic_ns() + (uint64_t)interval;
    }
    pthread_sigmask(SIG_UNBLOCK, signals, NULL); /* A second one ends it at once. */
    service_notify("STOPPING=1");
    log_info("shutting down");
}

static int run_server(struct program *program, struct error *err)
{
    sigset_t signals;

    block_signals(&signals);
    if (start(program, err) < 0)
        return -1;
    serve(program, &signals);
    return 0;
}

/* ---- upkeep by hand ---- */

/* The server that has the root does it itself. */
static int ask_server(struct program *program, struct error *err)
{
    CLEANUP(free) char *path = path_join(program->settings.root_path, "lock");
    CLEANUP(str_done) struct str text = {};
    int64_t pid;

    if (file_read(path, 32, &text, err) < 0)
        return -1;
    if (text.length > 0 && text.data[text.length - 1] == '\n')
        str_cut(&text, text.length - 1);
    if (parse_int64(str_text(&text), 2, INT32_MAX, &pid, err) < 0)
        return error_context(err, "%s", path);
    if (kill((pid_t)pid, SIGUSR1) < 0)
        return error_sys(err, "ask the running registry %" PRId64, pid);
    printf("asked the running registry (pid %" PRId64 ") to collect\n", pid);
    return 0;
}

static int run_gc(struct program *program, struct error *err)
{
    struct collection_report report = {};

    if (open_depot(program, false, err) < 0)
        return err->kind == ERROR_CONFLICT ? ask_server(program, err) : -1;
    if (depot_collect(program->depot, NULL, &report, err) < 0)
        return -1;
    CLEANUP(free) char *removed = describe(&report);
    printf("removed %s\n", removed);
    return 0;
}

static int run_verify(struct program *program, struct error *err)
{
    CLEANUP(strv_done) struct strv differences = {};
    int64_t count;

    if (open_depot(program, true, err) < 0 ||
        depot_verify(program->depot, &differences, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < differences.count; i++)
        puts(differences.items[i]);
    if (differences.count > 0)
        return error_set(err, ERROR_CONFLICT, "%zu differences", differences.count);
    printf("%" PRId64 " blobs are whole\n", count);
    return 0;
}

int main(int argc, char **argv)
{
    static int (*const commands[])(struct program * program,
                                   struct error * err) = { run_server, run_gc, run_verify };
    struct program program = {};
    struct error err = {};
    enum log_level level = LOG_INFO;

    umask(0077);
    heap_set_up();
    if (registry_settings_read(argc, argv, &program.settings, &err) < 0 ||
        (program.settings.log_level &&
         log_level_parse(program.settings.log_level, &level, &err) < 0)) {
        fprintf(stderr, "berth-registry: %s\n", err.text);
        return 1;
    }
    log_set_level(level);
    if (program.settings.help || program.settings.version) {
        if (program.settings.help)
            registry_settings_print_help();
        else
            puts("berth-registry version " BERTH_VERSION);
        registry_settings_done(&program.settings);
        return 0;
    }
    int result = commands[program.settings.command](&program, &err);
    if (result < 0)
        fprintf(stderr, "berth-registry: %s\n", err.text);
    stop(&program);
    return result < 0 ? 1 : 0;
}
