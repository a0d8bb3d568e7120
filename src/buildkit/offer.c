/* Small calls over a session, each of one or two messages; agents and files are streams of bytes in
 * messages with one field. */
#include "buildkit/offer.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "buildkit/grpc.h"
#include "codec/protobuf.h"

#include "base/banned.h"

#define GET_SECRET      "/moby.buildkit.secrets.v1.Secrets/GetSecret"
#define CHECK_AGENT     "/moby.sshforward.v1.SSH/CheckAgent"
#define FORWARD_AGENT   "/moby.sshforward.v1.SSH/ForwardAgent"
#define GET_CREDENTIALS "/moby.filesync.v1.Auth/Credentials"
#define PULL_UPLOAD     "/moby.upload.v1.Upload/Pull"
#define SEND_FILE       "/moby.filesync.v1.FileSend/DiffCopy"

#define BLOCK_SIZE ((size_t)32 << 10)

/* The first field of that number, or NULL. */
static const struct protobuf_field *find_field(const struct buf *message, uint32_t number,
                                               struct protobuf_field *out)
{
    struct protobuf_reader reader = protobuf_read(buf_bytes(message), message->size);

    while (protobuf_next(&reader, out, NULL) > 0)
        if (out->number == number && out->type == PROTOBUF_BYTES)
            return out;
    return NULL;
}

/* ---- secrets ---- */

static int get_secret(void *data, const char *id, int cancel_fd, struct str *out, struct error *err)
{
    struct peer *session = data;
    CLEANUP(buf_done) struct buf request = {}, answer = {};
    struct protobuf_field field;
    struct error why = {};

    if (!peer_offers(session, GET_SECRET))
        return 0;
    protobuf_add_text(&request, 1, id);
    if (grpc_ask(session->channel, GET_SECRET, &request, cancel_fd, &answer, &why) < 0)
        return why.kind == ERROR_NOT_FOUND ? 0 : error_set(err, why.kind, "%s", why.text);
    const struct protobuf_field *value = find_field(&answer, 1, &field);
    if (value && value->size > SECRET_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "secret %s is larger than %zu bytes", id,
                         SECRET_SIZE_LIMIT);
    if (value)
        str_add_bytes(out, value->bytes, value->size);
    if (answer.size > 0)
        explicit_bzero(answer.memory, answer.start + answer.size);
    return 1;
}

/* ---- agents ---- */

static int has_agent(void *data, const char *id, int cancel_fd, struct error *err)
{
    struct peer *session = data;
    CLEANUP(buf_done) struct buf request = {}, answer = {};
    struct error why = {};

    if (!peer_offers(session, CHECK_AGENT))
        return 0;
    protobuf_add_text(&request, 1, id);
    if (grpc_ask(session->channel, CHECK_AGENT, &request, cancel_fd, &answer, &why) == 0)
        return 1;
    if (why.kind == ERROR_CANCELLED || why.kind == ERROR_UNAVAILABLE)
        return error_set(err, why.kind, "%s", why.text);
    return 0; /* clients have no one code for "there is none" */
}

/* One connection to an agent: a call, and our end of a socket pair. Two threads carry the bytes. */
struct agent {
    atomic_int reference_count;
    struct peer *session;
    struct grpc_call *call;
    int fd;
};

static void agent_unref(struct agent *agent)
{
    if (atomic_fetch_sub(&agent->reference_count, 1) > 1)
        return;
    grpc_call_free(agent->call);
    peer_unref(agent->session);
    close(agent->fd);
    free(agent);
}

static void *agent_to_client(void *data)
{
    struct agent *agent = data;
    uint8_t *block = xmalloc(BLOCK_SIZE);
    ssize_t size;

    while ((size = read(agent->fd, block, BLOCK_SIZE)) > 0) {
        CLEANUP(buf_done) struct buf message = {};

        protobuf_add_bytes(&message, 1, block, (size_t)size);
        if (grpc_send(agent->call, &message, NULL) < 0)
            break;
    }
    grpc_finish_sending(agent->call, NULL);
    free(block);
    agent_unref(agent);
    return NULL;
}

static void *agent_from_client(void *data)
{
    struct agent *agent = data;
    CLEANUP(buf_done) struct buf message = {};
    struct protobuf_field field;

    while (grpc_receive(agent->call, &message, NULL) > 0) {
        const struct protobuf_field *bytes = find_field(&message, 1, &field);

        if (bytes && fd_write_all(agent->fd, bytes->bytes, bytes->size, NULL) < 0)
            break;
    }
    shutdown(agent->fd, SHUT_RDWR); /* ends the other thread */
    agent_unref(agent);
    return NULL;
}

static int start_agent(struct agent *agent, struct error *err)
{
    atomic_init(&agent->reference_count, 2);
    if (thread_start_detached("ssh-from-client", agent_from_client, agent, err) < 0) {
        agent_unref(agent);
        agent_unref(agent);
        return -1;
    }
    if (thread_start_detached("ssh-to-client", agent_to_client, agent, err) < 0) {
        shutdown(agent->fd, SHUT_RDWR);
        grpc_finish_sending(agent->call, NULL);
        agent_unref(agent);
        return -1;
    }
    return 0;
}

static int dial_agent(void *data, const char *id, int cancel_fd, struct error *err)
{
    struct peer *session = data;
    CLEANUP(grpc_metadata_done) struct grpc_metadata metadata = {};
    struct grpc_call *call;
    int pair[2];

    grpc_metadata_add(&metadata, "buildkit.ssh.id", id);
    if (peer_need(session, FORWARD_AGENT, "an SSH agent", err) < 0 ||
        grpc_call_new(session->channel, FORWARD_AGENT, &metadata, -1, &call, err) < 0)
        return -1;
    (void)cancel_fd; /* the socket's other end is closed when the step is over */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        grpc_call_free(call);
        return error_sys(err, "make a socket pair");
    }
    struct agent *agent = NEW(struct agent);
    *agent = (struct agent){ .session = peer_ref(session), .call = call, .fd = pair[0] };
    if (start_agent(agent, err) < 0) {
        close(pair[1]);
        return -1;
    }
    return pair[1];
}

struct build_secrets offer_secrets(struct peer *session)
{
    return (struct build_secrets){ get_secret, has_agent, dial_agent, session };
}

/* ---- credentials ---- */

int offer_credentials(void *data, const char *registry, int cancel_fd, struct credentials *out,
                      struct error *err)
{
    struct peer *session = data;
    CLEANUP(buf_done) struct buf request = {}, answer = {};
    struct protobuf_field field;
    bool is_hub = strcmp(registry, "docker.io") == 0;

    if (!peer_offers(session, GET_CREDENTIALS))
        return 0;
    protobuf_add_text(&request, 1, is_hub ? "registry-1.docker.io" : registry);
    if (grpc_ask(session->channel, GET_CREDENTIALS, &request, cancel_fd, &answer, err) < 0)
        return error_context(err, "credentials for %s", registry);
    char *username = find_field(&answer, 1, &field) ? protobuf_text(&field) : xstrdup("");
    char *secret = find_field(&answer, 2, &field) ? protobuf_text(&field) : NULL;
    if (!secret) {
        free(username);
        return 0;
    }
    /* Without a name the secret is a token. */
    *out = *username ? (struct credentials){ .username = username, .password = secret }
                     : (struct credentials){ .username = username, .identity_token = secret };
    return 1;
}

/* ---- an archive that comes ---- */

struct upload {
    struct stream stream;
    struct grpc_call *call;
    struct buf message, rest;
};

static ssize_t upload_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct upload *upload = CONTAINER_OF(stream, struct upload, stream);
    struct protobuf_field field;

    while (upload->rest.size == 0) {
        int found = grpc_receive(upload->call, &upload->message, err);

        if (found <= 0)
            return found;
        if (find_field(&upload->message, 1, &field))
            buf_add(&upload->rest, field.bytes, field.size);
    }
    size_t count = MIN(size, upload->rest.size);
    memcpy(data, buf_bytes(&upload->rest), count);
    buf_consume(&upload->rest, count);
    return (ssize_t)count;
}

static void upload_close(struct stream *stream)
{
    struct upload *upload = CONTAINER_OF(stream, struct upload, stream);

    grpc_call_free(upload->call);
    buf_done(&upload->message);
    buf_done(&upload->rest);
    free(upload);
}

int offer_upload(struct peer *session, const char *name, int cancel_fd, struct stream **out,
                 struct error *err)
{
    CLEANUP(grpc_metadata_done) struct grpc_metadata metadata = {};
    CLEANUP(free) char *path = xasprintf("/%s", name);
    struct grpc_call *call;

    grpc_metadata_add(&metadata, "urlpath", path);
    grpc_metadata_add(&metadata, "urlhost", "buildkit-session");
    if (peer_need(session, PULL_UPLOAD, "the archive of the context", err) < 0 ||
        grpc_call_new(session->channel, PULL_UPLOAD, &metadata, cancel_fd, &call, err) < 0)
        return -1;
    struct upload *upload = NEW(struct upload);
    upload->stream = (struct stream){ .read = upload_read, .close = upload_close };
    upload->call = call;
    *out = &upload->stream;
    return 0;
}

/* ---- a file that goes ---- */

struct offer_file {
    struct stream stream;
    struct grpc_call *call;
};

static int file_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct offer_file *file = CONTAINER_OF(stream, struct offer_file, stream);

    for (size_t at = 0; at < size;) {
        CLEANUP(buf_done) struct buf message = {};
        size_t count = MIN(size - at, BLOCK_SIZE);

        protobuf_add_bytes(&message, 1, (const uint8_t *)data + at, count);
        if (grpc_send(file->call, &message, err) < 0)
            return -1;
        at += count;
    }
    return 0;
}

/* The file outlives the stream. */
static void file_close(struct stream *stream UNUSED)
{
}

int offer_file_new(struct peer *session, size_t exporter, int cancel_fd, struct offer_file **out,
                   struct error *err)
{
    CLEANUP(grpc_metadata_done) struct grpc_metadata metadata = {};
    char number[24];
    struct grpc_call *call;

    snprintf(number, sizeof(number), "%zu", exporter);
    grpc_metadata_add(&metadata, "buildkit-attachable-exporter-id", number);
    if (peer_need(session, SEND_FILE, "a place for the result", err) < 0 ||
        grpc_call_new(session->channel, SEND_FILE, &metadata, cancel_fd, &call, err) < 0)
        return -1;
    *out = NEW(struct offer_file);
    (*out)->stream = (struct stream){ .write = file_write, .close = file_close };
    (*out)->call = call;
    return 0;
}

struct stream *offer_file_stream(struct offer_file *file)
{
    return &file->stream;
}

int offer_file_finish(struct offer_file *file, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};
    int found;

    if (grpc_finish_sending(file->call, err) < 0)
        return -1;
    while ((found = grpc_receive(file->call, &message, err)) > 0)
        continue;
    return found;
}

void offer_file_free(struct offer_file *file)
{
    if (!file)
        return;
    grpc_call_free(file->call);
    free(file);
}
