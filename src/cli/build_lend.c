/* The connection says when a step wants to talk to an agent; each such talk is a connection of its
 * own, carried by a thread of its own until either side ends it. */
#include "cli/build_lend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "cli/csv.h"
#include "codec/base64.h"

#include "base/banned.h"

#define SECRET_LIMIT ((size_t)500 << 10) /* the engine takes no more */
#define LINE_LIMIT   1024

struct build_lending {
    struct client *client;
    struct http_connection *connection;
    struct map agents; /* name → path of its socket */
    char *id;
    pthread_t thread; /* listens to the engine */
    bool has_thread;
};

/* ---- secrets ---- */

struct secret_spec {
    char *id, *path, *variable, *type;
};

static void secret_spec_done(struct secret_spec *spec)
{
    free(spec->id);
    free(spec->path);
    free(spec->variable);
    free(spec->type);
}
CLEANUP_VALUE(secret_spec_done, struct secret_spec)

static int read_field(const char *field, struct secret_spec *out, struct error *err)
{
    const struct {
        const char *name;
        char **value;
    } rows[] = { { "id=", &out->id },
                 { "src=", &out->path },
                 { "source=", &out->path },
                 { "env=", &out->variable },
                 { "type=", &out->type } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!text_starts(field, rows[i].name))
            continue;
        free(*rows[i].value);
        *rows[i].value = xstrdup(field + strlen(rows[i].name));
        return 0;
    }
    return error_set(err, ERROR_INVALID,
                     "invalid secret field %s: id=, src= and env= are understood", field);
}

static int read_spec(const char *text, struct secret_spec *out, struct error *err)
{
    CLEANUP(strv_done) struct strv fields = {};

    if (csv_split(text, &fields, err) < 0)
        return -1;
    for (size_t i = 0; i < fields.count; i++)
        if (read_field(fields.items[i], out, err) < 0)
            return -1;
    if (text_is_empty(out->id))
        return error_set(err, ERROR_INVALID, "a secret needs an id: id=NAME,src=FILE");
    if (out->path && out->variable)
        return error_set(err, ERROR_INVALID, "secret %s: either src or env", out->id);
    if (out->type && strcmp(out->type, "file") != 0 && strcmp(out->type, "env") != 0)
        return error_set(err, ERROR_INVALID, "secret %s: unsupported secret type \"%s\"", out->id,
                         out->type);
    /* "type=env,src=NAME" */
    if (text_equal(out->type, "env") && out->path)
        out->variable = TAKE(out->path);
    return 0;
}

/* The value, or an error that says where it was looked for. */
static int read_value(const struct secret_spec *spec, struct str *out, struct error *err)
{
    const char *variable = spec->variable ? spec->variable : spec->path ? NULL : spec->id;
    const char *value = variable ? getenv(variable) : NULL;

    if (value) {
        str_add(out, value);
        return 0;
    }
    if (spec->variable || text_equal(spec->type, "env"))
        return error_set(err, ERROR_NOT_FOUND, "secret %s: the variable %s is not set", spec->id,
                         variable);
    return file_read(spec->path ? spec->path : spec->id, SECRET_LIMIT, out, err) < 0
               ? error_context(err, "secret %s", spec->id)
               : 0;
}

static int add_secret(struct json_writer *w, const char *text, struct error *err)
{
    CLEANUP(secret_spec_done) struct secret_spec spec = {};
    CLEANUP(str_done) struct str value = {};

    if (read_spec(text, &spec, err) < 0 || read_value(&spec, &value, err) < 0)
        return -1;
    CLEANUP(free) char *encoded = base64_encode(str_text(&value), value.length);
    json_add_text(w, spec.id, encoded);
    return 0;
}

/* ---- agents ---- */

static int add_agent(struct build_lending *lending, const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    CLEANUP(free) char *name = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
    const char *path = equals ? equals + 1 : getenv("SSH_AUTH_SOCK");
    struct stat info;

    if (!*name || strpbrk(name, " \t\r\n"))
        return error_set(err, ERROR_INVALID, "invalid ssh agent: %s", text);
    if (text_is_empty(path))
        return error_set(
            err, ERROR_NOT_FOUND,
            "ssh %s: there is no agent: SSH_AUTH_SOCK is not set (ssh-agent starts one)", name);
    if (stat(path, &info) < 0)
        return error_sys(err, "ssh %s: %s", name, path);
    if (!S_ISSOCK(info.st_mode))
        return error_set(err, ERROR_UNSUPPORTED,
                         "ssh %s: %s is not the socket of an agent; add a key to one with ssh-add",
                         name, path);
    map_set_text(&lending->agents, name, path);
    return 0;
}

static int dial_agent(const char *path, struct error *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    CLEANUP(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_sys(err, "make a socket");
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ERROR_INVALID, "the path of the agent is too long: %s", path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_sys(err, "connect to the agent %s", path);
    return TAKE_FD(fd);
}

struct way {
    struct http_connection *step;
    int agent_fd;
};

/* What the agent says, until its end. */
static void *pass_answers(void *data)
{
    const struct way *way = data;
    char block[16 * 1024];
    struct error ignored;
    ssize_t size;

    while ((size = read(way->agent_fd, block, sizeof(block))) > 0)
        if (http_connection_write(way->step, block, (size_t)size, &ignored) < 0)
            break;
    http_connection_shutdown_write(way->step, &ignored);
    return NULL;
}

/* Both ways, until both sides have ended. */
static void pass_between(struct http_connection *step, int agent_fd)
{
    struct way way = { step, agent_fd };
    char block[16 * 1024];
    struct error ignored;
    pthread_t thread;
    ssize_t size;

    if (thread_start("agent-answers", pass_answers, &way, &thread, &ignored) < 0)
        return;
    while ((size = http_connection_read(step, block, sizeof(block), &ignored)) > 0)
        if (fd_write_all(agent_fd, block, (size_t)size, &ignored) < 0)
            break;
    shutdown(agent_fd, size < 0 ? SHUT_RDWR : SHUT_WR);
    pthread_join(thread, NULL);
}

struct talk {
    struct client *client;
    char *word, *path;
};

static void *carry(void *data)
{
    struct talk *talk = data;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(http_connection_close) struct http_connection *step = NULL;
    CLEANUP(close) int agent_fd = -1;
    struct error err = {};

    client_path_begin(&path, "/build/lenders/agents/%s", talk->word);
    if (client_upgrade(talk->client, &path, NULL, &step, &err) == 0) {
        agent_fd = dial_agent(talk->path, &err);
        if (agent_fd < 0)
            fprintf(stderr, "ssh: %s\n", err.text);
        else
            pass_between(step, agent_fd);
    }
    free(talk->word);
    free(talk->path);
    free(talk);
    return NULL;
}

/* ---- the connection ---- */

/* One line of the engine's; false at the end. */
static bool read_line(struct http_connection *connection, struct str *out)
{
    struct error ignored;
    char byte;

    str_clear(out);
    while (out->length < LINE_LIMIT && http_connection_read(connection, &byte, 1, &ignored) == 1) {
        if (byte == '\n')
            return true;
        str_add_char(out, byte);
    }
    return false;
}

static void begin_talk(struct build_lending *lending, const char *line)
{
    CLEANUP(strv_done) struct strv words = {};
    struct error err = {};

    strv_split(&words, line, ' ');
    if (words.count != 3 || strcmp(words.items[0], "agent") != 0 ||
        !map_has(&lending->agents, words.items[1]))
        return;
    struct talk *talk = NEW(struct talk);
    *talk = (struct talk){ lending->client, xstrdup(words.items[2]),
                           xstrdup(map_get(&lending->agents, words.items[1])) };
    if (thread_start_detached("agent", carry, talk, &err) == 0)
        return;
    fprintf(stderr, "ssh: %s\n", err.text);
    free(talk->word);
    free(talk->path);
    free(talk);
}

static void *listen_to_engine(void *data)
{
    struct build_lending *lending = data;
    CLEANUP(str_done) struct str line = {};

    while (read_line(lending->connection, &line))
        begin_talk(lending, str_text(&line));
    return NULL;
}

static int write_body(struct build_lending *lending, const struct strv *secrets,
                      const struct strv *agents, struct str *out, struct error *err)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "Secrets");
    for (size_t i = 0; i < secrets->count; i++)
        if (add_secret(&w, secrets->items[i], err) < 0)
            return -1;
    json_end_dict(&w);
    for (size_t i = 0; i < agents->count; i++)
        if (add_agent(lending, agents->items[i], err) < 0)
            return -1;
    json_begin_list(&w, "Agents");
    MAP_EACH (&lending->agents, entry)
        json_add_text(&w, NULL, entry->key);
    json_end_list(&w);
    json_end_dict(&w);
    return 0;
}

static int begin(struct build_lending *lending, const struct strv *secrets,
                 const struct strv *agents, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {}, line = {};

    if (write_body(lending, secrets, agents, &body, err) < 0)
        return -1;
    client_path_begin(&path, "/build/lenders");
    if (client_upgrade(lending->client, &path, body.data, &lending->connection, err) < 0)
        return -1;
    if (!read_line(lending->connection, &line) || !text_starts(str_text(&line), "lender "))
        return error_set(err, ERROR_INTERNAL, "the engine does not take secrets");
    lending->id = xstrdup(line.data + strlen("lender "));
    lending->has_thread = thread_start("lend", listen_to_engine, lending, &lending->thread, err) ==
                          0;
    return lending->has_thread ? 0 : -1;
}

int build_lending_begin(struct cli *cli, const struct build_loan *loan, struct build_lending **out,
                        struct error *err)
{
    struct build_lending *lending = NULL;

    *out = NULL;
    if (loan->secrets->count == 0 && loan->agents->count == 0 && !loan->holds_image &&
        !loan->has_caches)
        return 0;
    lending = NEW(struct build_lending);
    lending->client = cli->client;
    map_init_empty(&lending->agents, free);
    if (begin(lending, loan->secrets, loan->agents, err) < 0) {
        build_lending_end(lending);
        return -1;
    }
    *out = lending;
    return 0;
}

const char *build_lending_id(const struct build_lending *lending)
{
    return lending ? lending->id : NULL;
}

/* The engine answers our end with its own, which ends the listening. */
void build_lending_end(struct build_lending *lending)
{
    struct error ignored;

    if (!lending)
        return;
    if (lending->connection)
        http_connection_shutdown_write(lending->connection, &ignored);
    if (lending->has_thread)
        pthread_join(lending->thread, NULL);
    http_connection_close(lending->connection);
    map_done(&lending->agents);
    free(lending->id);
    free(lending);
}
