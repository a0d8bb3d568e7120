/* Build arguments. */
#include "build/args.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "build/expand.h"

#include "base/banned.h"

/* Usable without an ARG; they leave no trace in the history or the cache. */
static const char *const proxies[] = {
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
    "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy",
};

static bool is_proxy(const char *name)
{
    for (size_t i = 0; i < COUNT(proxies); i++)
        if (strcmp(proxies[i], name) == 0)
            return true;
    return false;
}

static void declare(struct map *map, const char *text)
{
    const char *equals = strchr(text, '=');
    CLEANUP(free) char *name = xstrndup(text, equals ? (size_t)(equals - text) : strlen(text));

    map_set(map, name, equals ? xstrdup(equals + 1) : NULL);
}

static void set_platform(struct build_args *args, const char *prefix,
                         const struct platform *platform)
{
    const struct {
        const char *name;
        char *value;
    } rows[] = {
        { "PLATFORM", platform_format(platform) },
        { "OS", xstrdup(platform->os) },
        { "ARCH", xstrdup(platform->architecture) },
        { "VARIANT", xstrdup(platform->variant) },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEANUP(free) char *name = xasprintf("%s%s", prefix, rows[i].name);

        map_set(&args->global, name, rows[i].value);
    }
}

void build_args_init(struct build_args *args, const struct map *given,
                     const struct platform *target)
{
    CLEANUP(platform_done) struct platform native = {};

    platform_native(&native);
    *args = (struct build_args){ .given = given };
    map_init_empty(&args->global, free);
    map_init_empty(&args->declared, free);
    set_platform(args, "TARGET", target ? target : &native);
    set_platform(args, "BUILD", &native);
}

void build_args_begin_stage(struct build_args *out, const struct build_args *args)
{
    *out = (struct build_args){ .given = args->given };
    map_init_empty(&out->global, free);
    map_init_empty(&out->declared, free);
    MAP_EACH (&args->global, entry)
        map_set(&out->global, entry->key, xstrdup(entry->value));
}

void build_args_done(struct build_args *args)
{
    map_done(&args->global);
    map_done(&args->declared);
}

void build_args_inherit(struct build_args *out, const struct build_args *args)
{
    MAP_EACH (&args->declared, entry)
        map_set(&out->declared, entry->key, xstrdup(entry->value));
}

void build_args_declare(struct build_args *args, const char *text)
{
    if (strchr(text, '=') || !map_get(&args->declared, text) || map_get(&args->global, text))
        declare(&args->declared, text);
}

void build_args_hide(struct build_args *args, const char *name)
{
    map_remove(&args->declared, name);
}

void build_args_declare_global(struct build_args *args, const char *text)
{
    declare(&args->global, text);
}

int build_args_declare_globals(struct build_args *args, const struct instruction *instruction,
                               char escape, struct error *err)
{
    for (size_t i = 0; i < instruction->arguments.count; i++) {
        CLEANUP(strv_done) struct strv environment = {};
        CLEANUP(str_done) struct str word = {};
        const struct expander expander = { escape, 0, &environment };

        build_args_globals(args, &environment);
        if (expand_word(&expander, instruction->arguments.items[i], &word, err) < 0)
            return -1;
        build_args_declare_global(args, str_text(&word));
    }
    return 0;
}

/* What was given counts first, then the default, then (without one) the global of that name. */
static const char *value_of(const struct build_args *args, const struct map *declared,
                            const char *name)
{
    const char *value = args->given ? map_get(args->given, name) : NULL;

    if (!value)
        value = map_get(declared, name);
    return value ? value : map_get(&args->global, name);
}

void build_args_globals(const struct build_args *args, struct strv *out)
{
    MAP_EACH (&args->global, entry) {
        const char *value = value_of(args, &args->global, entry->key);

        if (value)
            strv_env_set(out, entry->key, value);
    }
}

void build_args_visible(const struct build_args *args, const struct strv *environment,
                        bool only_declared, struct strv *out)
{
    MAP_EACH (&args->declared, entry) {
        const char *value = value_of(args, &args->declared, entry->key);

        if (value)
            strv_env_set(out, entry->key, value);
    }
    for (size_t i = 0; args->given && !only_declared && i < COUNT(proxies); i++) {
        const char *value = map_get(args->given, proxies[i]);

        if (value && !strv_env_get(environment, proxies[i]))
            strv_env_set(out, proxies[i], value);
    }
    strv_sort(out);
}

void build_args_unused(const struct build_args *args, const struct strv *declared_names,
                       struct strv *out)
{
    if (!args->given)
        return;
    MAP_EACH (args->given, entry)
        if (!is_proxy(entry->key) && !text_starts(entry->key, "BUILDKIT_") &&
            strcmp(entry->key, "SOURCE_DATE_EPOCH") != 0 && !map_has(&args->global, entry->key) &&
            !strv_contains(declared_names, entry->key))
            strv_add(out, entry->key);
    strv_sort(out);
}
