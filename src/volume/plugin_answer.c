/* Nothing here trusts a type or a presence: what is not there reads as empty. */
#include "volume/plugin_answer.h"

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

int plugin_answer_read(const char *method, int status, const struct str *text, struct json **out,
                       struct error *err)
{
    CLEANUP(json_free) struct json *answer = NULL;
    int result = json_parse(str_text(text), text->length, &answer, NULL);
    const char *said = json_text(json_get(answer, "Err"));

    if (!text_is_empty(said))
        return error_set(err, ERROR_INTERNAL, "%s: %.1000s", method, said);
    if (status == 404)
        return error_set(err, ERROR_NOT_FOUND, "%s: the plugin does not know that", method);
    if (status != 200 || result < 0)
        return error_set(err, ERROR_INTERNAL, "%s: the plugin answered with status %d: %.500s",
                         method, status, str_text(text));
    if (out)
        *out = TAKE(answer);
    return 0;
}

bool plugin_answer_has_volumes(const struct json *answer)
{
    const struct json *kinds = json_get(answer, "Implements");

    for (size_t i = 0; i < json_count(kinds); i++)
        if (text_equal(json_text(json_at(kinds, i)), "VolumeDriver"))
            return true;
    return false;
}

bool plugin_answer_is_global(const struct json *answer)
{
    return text_equal(json_text(json_get(json_get(answer, "Capabilities"), "Scope")), "global");
}

int plugin_answer_mountpoint(const struct json *answer, char **out, struct error *err)
{
    const char *path = json_text(json_get(answer, "Mountpoint"));

    if (text_is_empty(path) || *path != '/')
        return error_set(err, ERROR_INTERNAL, "VolumeDriver.Mount: the plugin names no place");
    *out = xstrdup(path);
    return 0;
}

void plugin_answer_volume(const struct json *answer, char **out_mountpoint, char **out_status)
{
    const struct json *said = json_get(answer, "Volume"), *status = json_get(said, "Status");
    const char *mountpoint = json_text(json_get(said, "Mountpoint"));

    *out_mountpoint = xstrdup(mountpoint ? mountpoint : "");
    *out_status = NULL;
    if (json_type(status) == JSON_DICT && json_count(status)) {
        struct str text = {};

        json_add_value(&(struct json_writer){ .out = &text }, NULL, status);
        *out_status = str_take(&text);
    }
}
