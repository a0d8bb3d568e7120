/* Whatever a plugin answers, with whatever status: what is taken of it has the form that others
 * rely on, and what is refused is refused with words. The first two bytes are the status. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "volume/plugin_answer.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_volume(const struct json *answer)
{
    CLEANUP(free) char *mountpoint = NULL;
    CLEANUP(free) char *status = NULL;
    CLEANUP(json_free) struct json *again = NULL;
    struct error err = {};

    plugin_answer_volume(answer, &mountpoint, &status);
    if (!mountpoint)
        abort();
    if (status && (json_parse(status, strlen(status), &again, &err) < 0 ||
                   json_type(again) != JSON_DICT || !json_count(again)))
        abort();
}

static void check_mountpoint(const struct json *answer)
{
    CLEANUP(free) char *path = NULL;
    struct error err = {};

    if (plugin_answer_mountpoint(answer, &path, &err) < 0 ? path || !err.text[0] : *path != '/')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(json_free) struct json *answer = NULL;
    struct error err = {};

    if (size < 2)
        return 0;
    int status = data[0] * 256 + data[1];
    if (status > 599)
        status = 200;
    str_add_bytes(&text, (const char *)data + 2, size - 2);
    if (plugin_answer_read("VolumeDriver.Get", status, &text, &answer, &err) < 0) {
        if (answer || !err.text[0] || (err.kind != ERROR_INTERNAL && err.kind != ERROR_NOT_FOUND))
            abort();
        return 0;
    }
    if (status != 200)
        abort();
    plugin_answer_has_volumes(answer);
    plugin_answer_is_global(answer);
    check_mountpoint(answer);
    check_volume(answer);
    return 0;
}
