/* The words of --mount, each with the types that know it. */
#include "build/mount_rule.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"

#include "base/banned.h"

void mount_rule_done(struct mount_rule *rule)
{
    free(rule->target);
    free(rule->source);
    free(rule->from);
    free(rule->id);
    free(rule->environment_name);
    *rule = (struct mount_rule){};
}

bool mount_rule_is_hidden(const struct mount_rule *rule)
{
    return rule->type == MOUNT_SECRET || rule->type == MOUNT_SSH;
}

enum key {
    KEY_TYPE,
    KEY_TARGET,
    KEY_SOURCE,
    KEY_FROM,
    KEY_READONLY,
    KEY_READWRITE,
    KEY_ID,
    KEY_SHARING,
    KEY_REQUIRED,
    KEY_MODE,
    KEY_UID,
    KEY_GID,
    KEY_SIZE,
    KEY_ENV,
};

enum { B = 1 << MOUNT_BIND, C = 1 << MOUNT_CACHE, T = 1 << MOUNT_TMPFS };
enum { S = 1 << MOUNT_SECRET, H = 1 << MOUNT_SSH, ALL = B | C | T | S | H };

/* clang-format off */
static const struct {
    const char *name;
    enum key key;
    int types;
    bool is_switch; /* may stand without a value */
} keys[] = {
    { "type",        KEY_TYPE,      ALL,       false },
    { "target",      KEY_TARGET,    ALL,       false },
    { "dst",         KEY_TARGET,    ALL,       false },
    { "destination", KEY_TARGET,    ALL,       false },
    { "source",      KEY_SOURCE,    B | C | S, false },
    { "src",         KEY_SOURCE,    B | C | S, false },
    { "from",        KEY_FROM,      B | C,     false },
    { "readonly",    KEY_READONLY,  B | C | S, true  },
    { "ro",          KEY_READONLY,  B | C | S, true  },
    { "readwrite",   KEY_READWRITE, B | C,     true  },
    { "rw",          KEY_READWRITE, B | C,     true  },
    { "id",          KEY_ID,        C | S | H, false },
    { "sharing",     KEY_SHARING,   C,         false },
    { "required",    KEY_REQUIRED,  S | H,     true  },
    { "mode",        KEY_MODE,      C | S | H | T, false },
    { "uid",         KEY_UID,       C | S | H, false },
    { "gid",         KEY_GID,       C | S | H, false },
    { "size",        KEY_SIZE,      T,         false },
    { "env",         KEY_ENV,       S,         false },
};
/* clang-format on */

static const char *const type_names[] = { "bind", "cache", "tmpfs", "secret", "ssh" };
static const char *const sharing_names[] = { "shared", "private", "locked" };

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

static int read_switch(const char *name, const char *value, bool *out, struct error *err)
{
    if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        *out = true;
    else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        *out = false;
    else
        return error_set(err, ERROR_INVALID, "invalid value for %s: %s", name, value);
    return 0;
}

static int read_id(const char *name, const char *value, uint32_t *out, struct error *err)
{
    int64_t number;

    if (parse_int64(value, 0, UINT32_MAX - 1, &number, NULL) < 0)
        return error_set(err, ERROR_INVALID, "invalid value %s for %s", value, name);
    *out = (uint32_t)number;
    return 0;
}

static int read_mode(const char *value, struct mount_rule *out, struct error *err)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);

    if (!*value || *end || mode > 07777 || *value == '-' || *value == '+')
        return error_set(err, ERROR_INVALID, "invalid value %s for mode", value);
    out->mode = (mode_t)mode;
    out->is_mode_given = true;
    return 0;
}

static void replace(char **field, const char *value)
{
    free(*field);
    *field = xstrdup(value);
}

static int apply(enum key key, const char *name, const char *value, struct mount_rule *out,
                 struct error *err)
{
    bool is_on = true;
    int found;

    switch (key) {
    case KEY_TYPE:
        return 0; /* read before */
    case KEY_TARGET:
        replace(&out->target, value);
        return 0;
    case KEY_SOURCE:
        replace(&out->source, value);
        return 0;
    case KEY_FROM:
        replace(&out->from, value);
        return 0;
    case KEY_ID:
        replace(&out->id, value);
        return 0;
    case KEY_ENV:
        replace(&out->environment_name, value);
        return 0;
    case KEY_READONLY:
    case KEY_READWRITE:
        if (read_switch(name, value, &is_on, err) < 0)
            return -1;
        out->is_writable = key == KEY_READWRITE ? is_on : !is_on;
        return 0;
    case KEY_REQUIRED:
        return read_switch(name, value, &out->is_required, err);
    case KEY_SHARING:
        found = find_name(sharing_names, COUNT(sharing_names), value);
        if (found < 0)
            return error_set(err, ERROR_INVALID,
                             "unsupported sharing value \"%s\" (shared, private or locked)", value);
        out->sharing = (enum mount_sharing)found;
        return 0;
    case KEY_MODE:
        return read_mode(value, out, err);
    case KEY_UID:
        return read_id(name, value, &out->uid, err);
    case KEY_GID:
        return read_id(name, value, &out->gid, err);
    case KEY_SIZE:
        return parse_size(value, &out->size_bytes, err) < 0
                   ? error_context(err, "invalid value for size")
                   : 0;
    }
    return 0;
}

/* The key is what stands in front of the '='; in any case. */
static int read_field(const char *field, const struct expander *expander, struct mount_rule *out,
                      struct error *err)
{
    const char *equals = strchr(field, '=');
    CLEANUP(free)
    char *name = xstrndup(field, equals ? (size_t)(equals - field) : strlen(field));
    CLEANUP(str_done) struct str value = {};

    for (size_t i = 0; i < COUNT(keys); i++) {
        if (strcasecmp(keys[i].name, name) != 0)
            continue;
        if (!equals && !keys[i].is_switch)
            return error_set(err, ERROR_INVALID, "invalid field '%s' must be a key=value pair",
                             field);
        if (!(keys[i].types & 1 << out->type))
            return error_set(err, ERROR_INVALID, "unexpected key '%s' for mount type '%s'", name,
                             type_names[out->type]);
        if (equals && expand_word(expander, equals + 1, &value, err) < 0)
            return -1;
        return apply(keys[i].key, name, equals ? str_text(&value) : NULL, out, err);
    }
    return error_set(err, ERROR_INVALID, "unexpected key '%s' in '%s'", name, field);
}

static int read_type(const struct strv *fields, struct mount_rule *out, struct error *err)
{
    out->type = MOUNT_BIND;
    for (size_t i = 0; i < fields->count; i++) {
        const char *field = fields->items[i];

        if (strncasecmp(field, "type=", 5) != 0)
            continue;
        int found = find_name(type_names, COUNT(type_names), field + 5);
        if (found < 0)
            return error_set(err, ERROR_INVALID, "unsupported mount type \"%s\"", field + 5);
        out->type = (enum mount_type)found;
    }
    out->is_writable = out->type == MOUNT_CACHE || out->type == MOUNT_TMPFS;
    return 0;
}

/* What was left out, and what is wrong only as a whole. */
static int finish(struct mount_rule *out, struct error *err)
{
    bool is_hidden = mount_rule_is_hidden(out);

    if (out->type == MOUNT_SECRET && !out->id)
        replace(&out->id, out->source   ? out->source
                          : out->target ? path_base(out->target)
                                        : out->environment_name);
    if (out->type == MOUNT_SECRET && text_is_empty(out->id))
        return error_set(err, ERROR_INVALID,
                         "invalid secret mount. one of source, target required");
    if (out->type == MOUNT_SSH && !out->id)
        out->id = xstrdup("default");
    if (!is_hidden && text_is_empty(out->target))
        return error_set(err, ERROR_INVALID, "a mount of type %s needs a target",
                         type_names[out->type]);
    if (!is_hidden && (strcmp(out->target, "/") == 0 || strcmp(out->target, ".") == 0) &&
        out->target[0] == '/')
        return error_set(err, ERROR_INVALID, "invalid mount target \"/\"");
    return 0;
}

int mount_rule_read(const char *text, const struct expander *expander, struct mount_rule *out,
                    struct error *err)
{
    CLEANUP(mount_rule_done) struct mount_rule rule = {};
    CLEANUP(strv_done) struct strv fields = {};

    strv_split(&fields, text, ',');
    if (read_type(&fields, &rule, err) < 0)
        return -1;
    for (size_t i = 0; i < fields.count; i++)
        if (read_field(fields.items[i], expander, &rule, err) < 0)
            return -1;
    if (finish(&rule, err) < 0)
        return -1;
    *out = rule;
    rule = (struct mount_rule){};
    return 0;
}
