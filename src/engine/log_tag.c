/* Docker's fields: {{.ID}} {{.FullID}} {{.Name}} {{.ImageID}} {{.ImageFullID}} {{.ImageName}}
 * {{.Command}} {{.DaemonName}}. */
#include "engine/log_tag.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "codec/template.h"

#include "base/banned.h"

#define SHORT_LENGTH   12
#define TAG_LIMIT      ((size_t)4096)
#define DEFAULT_TAG    "{{.ID}}"
#define HOST_NAME_SIZE 256

static void add_short(struct json_writer *w, const char *key, const char *id)
{
    CLEANUP(free) char *text = xstrndup(id, SHORT_LENGTH);

    json_add_text(w, key, text);
}

static char *command_of(const struct container_info *info)
{
    CLEANUP(free) char *arguments = strv_join(&info->args, " ");

    return xasprintf("%s%s%s", info->path ?: "", *arguments ? " " : "", arguments);
}

static void describe(const struct container_info *info, struct str *out)
{
    struct json_writer w = { .out = out };
    const char *image = info->image_id ?: "";
    CLEANUP(free) char *command = command_of(info);
    char host[HOST_NAME_SIZE] = "";

    gethostname(host, sizeof(host) - 1);
    json_begin_dict(&w, NULL);
    add_short(&w, "ID", info->id);
    json_add_text(&w, "FullID", info->id);
    json_add_text(&w, "Name", info->name);
    add_short(&w, "ImageID", text_starts(image, "sha256:") ? image + 7 : image);
    json_add_text(&w, "ImageFullID", image);
    json_add_text(&w, "ImageName", info->image_name ?: "");
    json_add_text(&w, "Command", command);
    json_add_text(&w, "Hostname", host);
    json_add_text(&w, "DaemonName", "docker");
    json_end_dict(&w);
}

int log_tag_expand(const struct container_info *info, const char *text, char **out,
                   struct error *err)
{
    CLEANUP(template_free) struct template *template = NULL;
    CLEANUP(json_free) struct json *data = NULL;
    CLEANUP(str_done) struct str document = {};
    CLEANUP(str_done) struct str tag = {};

    describe(info, &document);
    if (template_parse(text_is_empty(text) ? DEFAULT_TAG : text, &template, err) < 0 ||
        json_parse(str_text(&document), document.length, &data, err) < 0 ||
        template_run(template, data, NULL, &tag, err) < 0)
        return error_context(err, "log tag");
    if (tag.length > TAG_LIMIT)
        return error_set(err, ERROR_INVALID, "log tag: longer than %zu bytes", TAG_LIMIT);
    *out = str_take(&tag);
    return 0;
}
