/* Signals, sizes, clients and further processes. */
#include "shim/request_process.h"

#include <limits.h>

#include "base/memory.h"
#include "shim/attach.h"
#include "shim/exec.h"
#include "shim/task.h"

#include "base/banned.h"

static int find(struct supervisor *shim, const struct wire_message *request, struct task **out,
                struct error *err)
{
    const char *exec_id = wire_get_text(request, WIRE_FIELD_EXEC_ID);
    struct task *task = supervisor_find(shim, exec_id);

    if (!task && exec_id)
        return error_set(err, ERROR_NOT_FOUND, "no such exec instance: %s", exec_id);
    if (!task || task->has_exited)
        return error_set(err, ERROR_CONFLICT, "the process is not running");
    *out = task;
    return 0;
}

int request_signal(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply UNUSED, struct error *err)
{
    struct task *task;

    if (find(shim, request, &task, err) < 0)
        return -1;
    return container_signal(&task->process, (int)wire_get_int(request, WIRE_FIELD_SIGNAL, 0), err);
}

int request_resize(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply UNUSED, struct error *err)
{
    int64_t height = wire_get_int(request, WIRE_FIELD_HEIGHT, 0);
    int64_t width = wire_get_int(request, WIRE_FIELD_WIDTH, 0);
    struct task *task;

    if (height < 0 || height > USHRT_MAX || width < 0 || width > USHRT_MAX)
        return error_set(err, ERROR_INVALID, "a terminal cannot have that size");
    if (exec_resize_later(shim, wire_get_text(request, WIRE_FIELD_EXEC_ID), (int)height,
                          (int)width))
        return 0;
    if (find(shim, request, &task, err) < 0)
        return -1;
    if (task->process.console_fd < 0)
        return 0; /* without a terminal there is nothing to be resized */
    return container_resize(&task->process, (int)height, (int)width, err);
}

int request_attach(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf pending = {};
    struct client *client;

    if (!shim->init || shim->init->has_exited)
        return error_set(err, ERROR_CONFLICT, "the container is not running");
    if (wire_get_blob(request, WIRE_FIELD_PENDING, &pending, err) < 0 ||
        client_new(shim, shim->init, request, &client, err) < 0)
        return -1;
    client_begin(client, &pending);
    return 0;
}
