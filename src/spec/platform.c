/* Names are normalised when they are read, so that comparing them is all that is left. */
#include "spec/platform.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "spec/image.h"

#include "base/banned.h"

#define PLATFORM_LENGTH_LIMIT 256
enum { EXACT_MATCH = 100 };

/* clang-format off */
static const struct { const char *name, *architecture, *variant; } aliases[] = {
    { "x86_64",  "amd64",   ""   },
    { "x86-64",  "amd64",   ""   },
    { "aarch64", "arm64",   ""   },
    { "armhf",   "arm",     "v7" },
    { "armel",   "arm",     "v6" },
    { "i386",    "386",     ""   },
    { "i486",    "386",     ""   },
    { "i586",    "386",     ""   },
    { "i686",    "386",     ""   },
};
static const char *const systems[] = {
    "linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly", "solaris", "illumos",
    "aix", "android", "plan9", "js", "wasip1",
};
static const char *const architectures[] = {
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64",
    "ppc64le", "riscv64", "s390x", "wasm",
};
/* clang-format on */

void platform_done(struct platform *platform)
{
    free(platform->os);
    free(platform->architecture);
    free(platform->variant);
    free(platform->os_version);
    *platform = (struct platform){};
}

static void set(char **member, const char *value)
{
    char *copy = xstrdup(value ?: "");

    free(*member);
    *member = copy;
}

static void normalise(struct platform *platform)
{
    text_lower(platform->os);
    text_lower(platform->architecture);
    text_lower(platform->variant);
    if (strcmp(platform->os, "macos") == 0)
        set(&platform->os, "darwin");
    for (size_t i = 0; i < COUNT(aliases); i++) {
        if (strcmp(platform->architecture, aliases[i].name) != 0)
            continue;
        set(&platform->architecture, aliases[i].architecture);
        if (!*platform->variant)
            set(&platform->variant, aliases[i].variant);
        break;
    }
    const char *variant = platform->variant;
    if (strcmp(platform->architecture, "arm") == 0 && isdigit((unsigned char)*variant)) {
        char *prefixed = xasprintf("v%s", variant);

        free(platform->variant);
        platform->variant = prefixed;
    } else if (strcmp(platform->architecture, "arm") == 0 && !*variant) {
        set(&platform->variant, "v7");
    } else if (strcmp(platform->architecture, "arm64") == 0 &&
               (strcmp(variant, "v8") == 0 || strcmp(variant, "8") == 0)) {
        set(&platform->variant, "");
    } else if (strcmp(platform->architecture, "amd64") == 0 && strcmp(variant, "v1") == 0) {
        set(&platform->variant, "");
    }
}

static void fill(struct platform *out, const char *os, const char *architecture,
                 const char *variant, const char *os_version)
{
    out->os = xstrdup(os ?: "");
    out->architecture = xstrdup(architecture ?: "");
    out->variant = xstrdup(variant ?: "");
    out->os_version = xstrdup(os_version ?: "");
    normalise(out);
}

void platform_native(struct platform *out)
{
    *out = (struct platform){};
    fill(out, "linux", image_native_architecture(), "", "");
}

static bool is_one_of(const char *text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return true;
    return false;
}

static bool is_component(const char *text)
{
    return *text && !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789_.-")];
}

/* One word is a system or an architecture. */
static int read_word(struct platform *platform, const char *text, struct error *err)
{
    bool is_system = is_one_of(platform->os, systems, COUNT(systems));

    if (is_system) {
        set(&platform->architecture, image_native_architecture());
        return 0;
    }
    set(&platform->architecture, platform->os);
    set(&platform->os, "linux");
    normalise(platform);
    if (!is_one_of(platform->architecture, architectures, COUNT(architectures)))
        return error_set(err, ERROR_INVALID,
                         "\"%s\": unknown operating system or architecture: invalid argument",
                         text);
    return 0;
}

int platform_parse(const char *text, struct platform *out, struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};
    CLEANUP(platform_done) struct platform platform = {};

    if (strlen(text) > PLATFORM_LENGTH_LIMIT)
        return error_set(err, ERROR_INVALID, "invalid platform: too long");
    strv_split(&parts, text, '/');
    if (parts.count < 1 || parts.count > 3)
        return error_set(err, ERROR_INVALID,
                         "\"%s\": cannot parse platform specifier: invalid argument", text);
    for (size_t i = 0; i < parts.count; i++)
        if (!is_component(parts.items[i]))
            return error_set(err, ERROR_INVALID,
                             "\"%s\" is an invalid component of \"%s\": platform specifier "
                             "component must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
                             parts.items[i], text);
    fill(&platform, parts.items[0], parts.count > 1 ? parts.items[1] : "",
         parts.count > 2 ? parts.items[2] : "", "");
    if (parts.count == 1 && read_word(&platform, text, err) < 0)
        return -1;
    *out = platform;
    platform = (struct platform){};
    return 0;
}

void platform_from_json(const struct json *value, struct platform *out)
{
    *out = (struct platform){};
    fill(out, json_text(json_get(value, "os")), json_text(json_get(value, "architecture")),
         json_text(json_get(value, "variant")), json_text(json_get(value, "os.version")));
}

void platform_of(const char *os, const char *architecture, const char *variant,
                 struct platform *out)
{
    *out = (struct platform){};
    fill(out, text_is_empty(os) ? "linux" : os, architecture, variant, "");
}

int platform_parse_json(const char *text, struct platform *out, struct error *err)
{
    CLEANUP(json_free) struct json *value = NULL;

    if (*text != '{')
        return platform_parse(text, out, err);
    if (json_parse(text, strlen(text), &value, err) < 0) {
        err->kind = ERROR_INVALID;
        return error_context(err, "failed to parse platform");
    }
    platform_from_json(value, out);
    if (*out->os && *out->architecture)
        return 0;
    platform_done(out);
    return error_set(err, ERROR_INVALID,
                     "failed to parse platform: both OS and Architecture must be provided");
}

/* "v7" is 7; nothing is what the architecture begins with. */
static int level(const struct platform *platform)
{
    const char *variant = platform->variant;
    int64_t value;

    if (!*variant)
        return strcmp(platform->architecture, "amd64") == 0 ? 1 : 8;
    if (*variant != 'v' || parse_int64(variant + 1, 1, EXACT_MATCH - 1, &value, NULL) < 0)
        return 0;
    return (int)value;
}

int platform_match(const struct platform *wanted, const struct platform *offered)
{
    static const char *const with_levels[] = { "amd64", "arm", "arm64" };

    if (strcmp(wanted->os, offered->os) != 0)
        return 0;
    if (*wanted->os_version && strcmp(wanted->os_version, offered->os_version) != 0)
        return 0;
    bool is_same = strcmp(wanted->architecture, offered->architecture) == 0;
    if (is_same && strcmp(wanted->variant, offered->variant) == 0)
        return EXACT_MATCH;
    if (!is_same || !is_one_of(wanted->architecture, with_levels, COUNT(with_levels)))
        return 0;
    int has = level(wanted), needs = level(offered);
    return has && needs && needs <= has ? EXACT_MATCH - 1 - (has - needs) : 0;
}

char *platform_format(const struct platform *platform)
{
    return xasprintf("%s/%s%s%s", platform->os, platform->architecture,
                     *platform->variant ? "/" : "", platform->variant);
}
