/* The engine wants an object, not the text. */
#include "cli/platform_query.h"

#include <stdlib.h>

#include "base/strv.h"
#include "base/text.h"
#include "codec/json.h"

#include "base/banned.h"

const char *platform_or_default(const char *given)
{
    const char *platform = given ?: getenv("DOCKER_DEFAULT_PLATFORM");

    return text_is_empty(platform) ? NULL : platform;
}

int platform_query_add(struct client_path *path, const char *name, const char *platform,
                       struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (text_is_empty(platform))
        return 0;
    strv_split(&parts, platform, '/');
    if (parts.count < 2 || parts.count > 3)
        return error_set(err, ERROR_INVALID, "invalid platform: %s", platform);
    json_begin_dict(&w, NULL);
    json_add_text(&w, "architecture", parts.items[1]);
    json_add_text(&w, "os", parts.items[0]);
    if (parts.count > 2)
        json_add_text(&w, "variant", parts.items[2]);
    json_end_dict(&w);
    client_path_query(path, name, str_text(&text));
    return 0;
}
