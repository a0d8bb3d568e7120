/* Programs disagree about the case of these names: both are set. */
#include "cli/proxies.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/settings.h"

#include "base/banned.h"

/* clang-format off */
static const struct { const char *key, *name; } proxies[] = {
    { "httpProxy",  "HTTP_PROXY" },
    { "httpsProxy", "HTTPS_PROXY" },
    { "noProxy",    "NO_PROXY" },
    { "ftpProxy",   "FTP_PROXY" },
    { "allProxy",   "ALL_PROXY" },
};
/* clang-format on */

static bool is_named(const struct strv *list, const char *name)
{
    return strv_env_get(list, name) || strv_contains(list, name);
}

static void add(const struct strv *given, const char *name, const char *value, struct strv *env)
{
    if (!is_named(given, name) && !is_named(env, name))
        strv_add_format(env, "%s=%s", name, value);
}

void proxies_add(const struct client *client, const struct strv *given, struct strv *env)
{
    const struct json *all = json_get(settings_document(), "proxies"),
                      *own = json_get(all, client_host(client));

    if (!own)
        own = json_get(all, "default");
    for (size_t i = 0; i < COUNT(proxies); i++) {
        const char *value = json_text(json_get(own, proxies[i].key));
        CLEANUP(free) char *lower = xstrdup(proxies[i].name);

        if (text_is_empty(value))
            continue;
        text_lower(lower);
        add(given, proxies[i].name, value, env);
        add(given, lower, value, env);
    }
}
