/* Values are taken as they stand: no quotes, no interpolation. */
#include "cli/env_file.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

enum { FILE_LIMIT = 16 * 1024 * 1024 };

void env_add(struct strv *out, const char *entry)
{
    const char *split = strchr(entry, '=');

    if (split) {
        CLEANUP(free) char *key = xstrndup(entry, (size_t)(split - entry));

        strv_env_set(out, key, split + 1);
    } else if (getenv(entry)) {
        strv_env_set(out, entry, getenv(entry));
    }
}

static void label_add(struct strv *out, const char *line)
{
    if (strchr(line, '='))
        strv_add(out, line);
}

static int read_lines(const char *path, void (*add)(struct strv *out, const char *line),
                      struct strv *out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv lines = {};

    if (file_read(path, FILE_LIMIT, &text, err) < 0)
        return -1;
    strv_split(&lines, str_text(&text), '\n');
    for (size_t i = 0; i < lines.count; i++) {
        char *line = lines.items[i];
        size_t length = strlen(line);

        if (length && line[length - 1] == '\r')
            line[length - 1] = 0;
        line += strspn(line, " \t");
        if (!*line || *line == '#')
            continue;
        size_t key = strcspn(line, "=");
        if (strcspn(line, " \t") < key)
            return error_set(err, ERROR_INVALID,
                             "invalid env file (%s): variable '%.*s' contains whitespaces", path,
                             (int)key, line);
        add(out, line);
    }
    return 0;
}

int env_file_read(const char *path, struct strv *out, struct error *err)
{
    return read_lines(path, env_add, out, err);
}

int label_file_read(const char *path, struct strv *out, struct error *err)
{
    return read_lines(path, label_add, out, err);
}
