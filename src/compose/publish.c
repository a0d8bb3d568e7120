/* See the header. Files are changed where the names stand, so that comments, tags and anchors stay.
 */
#include "compose/publish.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "compose/load.h"
#include "compose/paths.h"
#include "compose/spot.h"
#include "compose/variable.h"

#include "base/banned.h"

void published_files_done(struct published_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].name);
        str_done(&files->items[i].text);
    }
    free(files->items);
    *files = (struct published_files){};
}

/* ---- changing names in a text ---- */

struct edit {
    size_t begin, end; /* in characters */
    char *text;
};

struct rewrite {
    const struct publish_renames *renames;
    struct edit *edits;
    size_t count;
};

static void rewrite_done(struct rewrite *rewrite)
{
    for (size_t i = 0; i < rewrite->count; i++)
        free(rewrite->edits[i].text);
    free(rewrite->edits);
}
CLEANUP_VALUE(rewrite_done, struct rewrite)

/* In the order of their places; aliases come back to one that is there. */
static void add_edit(struct rewrite *rewrite, enum published_kind kind, const struct yaml *node)
{
    size_t at = rewrite->count;
    char *text;

    if (!yaml_text(node))
        return;
    for (size_t i = 0; i < rewrite->count; i++)
        if (rewrite->edits[i].begin == node->begin)
            return;
    text = rewrite->renames->rename(rewrite->renames->data, kind, yaml_text(node));
    if (!text)
        return;
    rewrite->edits = xrealloc(rewrite->edits, rewrite->count + 1, sizeof(*rewrite->edits));
    for (; at > 0 && rewrite->edits[at - 1].begin > node->begin; at--)
        rewrite->edits[at] = rewrite->edits[at - 1];
    rewrite->edits[at] = (struct edit){ node->begin, node->end, text };
    rewrite->count++;
}

static void list_edits(struct rewrite *rewrite, const struct yaml *service)
{
    const struct yaml *files = yaml_get(service, "env_file");

    add_edit(rewrite, PUBLISHED_BASE, yaml_get_path(service, "extends", "file"));
    add_edit(rewrite, PUBLISHED_ENV, files);
    for (size_t i = 0; i < yaml_count(files); i++) {
        const struct yaml *item = files->items[i];

        add_edit(rewrite, PUBLISHED_ENV, item->kind == YAML_DICT ? yaml_get(item, "path") : item);
    }
}

/* The byte at which a character begins. */
static size_t byte_at(const char *text, size_t length, size_t *byte, size_t *character,
                      size_t wanted)
{
    while (*byte < length && *character < wanted) {
        do
            (*byte)++;
        while (*byte < length && ((unsigned char)text[*byte] & 0xc0) == 0x80);
        (*character)++;
    }
    return *byte;
}

static int check_includes(const struct yaml *document, struct error *err)
{
    static const struct spot spot = { .name = "include" };
    const struct yaml *include = yaml_get(document, "include");

    for (size_t i = 0; i < yaml_count(include); i++) {
        const struct yaml *item = include->items[i];
        const struct yaml *paths = item->kind == YAML_DICT ? yaml_get(item, "path") : item;
        size_t count = yaml_count(paths);

        for (size_t j = 0; j < MAX(count, (size_t)1); j++) {
            const char *path = yaml_text(count ? paths->items[j] : paths);

            if (!path || strstr(path, "://") || text_starts(path, "git@"))
                continue;
            error_set(err, ERROR_UNSUPPORTED, "cannot publish compose file with local includes");
            return spot_place(&spot, item, "name both files with -f instead", err);
        }
    }
    return 0;
}

int publish_rewrite(const char *text, size_t length, const char *file,
                    const struct publish_renames *renames, struct str *out, struct error *err)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of the order of bytes, which is no character */
    CLEANUP(yaml_drop) struct yaml *documents = NULL;
    CLEANUP(rewrite_done) struct rewrite rewrite = { .renames = renames };
    size_t byte = text_starts(text, mark) ? strlen(mark) : 0, character = 0, written = 0;

    if (yaml_parse(text, length, file, &documents, err) < 0)
        return -1;
    for (size_t i = 0; i < documents->count; i++) {
        const struct yaml *services = yaml_get(documents->items[i], "services");

        if (check_includes(documents->items[i], err) < 0)
            return -1;
        for (size_t j = 0; j < yaml_count(services); j++)
            list_edits(&rewrite, services->items[j]);
    }
    for (size_t i = 0; i < rewrite.count; i++) {
        const struct edit *edit = &rewrite.edits[i];
        size_t begin = byte_at(text, length, &byte, &character, edit->begin);

        str_add_bytes(out, text + written, begin - written);
        str_add(out, edit->text);
        written = byte_at(text, length, &byte, &character, edit->end);
    }
    str_add_bytes(out, text + written, length - written);
    return 0;
}

/* ---- the files of a project ---- */

struct publisher {
    const struct project *project;
    struct published_files *out;
    const char *directory; /* in which names of the file at hand begin */
    struct strv bases;     /* paths that are known, done or not */
};

static struct published_file *add_file(struct publisher *publisher, enum published_kind kind,
                                       char *name)
{
    struct published_files *out = publisher->out;

    out->items = xrealloc(out->items, out->count + 1, sizeof(*out->items));
    out->items[out->count] = (struct published_file){ .kind = kind, .name = name };
    return &out->items[out->count++];
}

static const char *get_variable(void *data, const char *name)
{
    return map_get(data, name);
}

/* A name that tells nothing of this machine. Yours. */
static char *public_name(const char *path, const char *ending)
{
    char digest[DIGEST_SIZE];

    sha256_digest(path, strlen(path), digest);
    return xasprintf("%s.%s", strchr(digest, ':') + 1, ending);
}

static bool is_known(const struct publisher *publisher, const char *name)
{
    for (size_t i = 0; i < publisher->out->count; i++)
        if (strcmp(publisher->out->items[i].name, name) == 0)
            return true;
    return false;
}

static char *rename_file(void *data, enum published_kind kind, const char *name)
{
    struct publisher *publisher = data;
    struct variable_source source = { .get = get_variable,
                                      .data = (void *)&publisher->project->environment };
    CLEANUP(str_done) struct str expanded = {}, bytes = {};
    struct error unheard;
    bool is_malformed;

    if (variable_expand(name, &source, &expanded, &is_malformed, &unheard) < 0)
        return NULL;
    CLEANUP(free) char *path = paths_absolute(str_text(&expanded), publisher->directory);
    /* What is not here is elsewhere, or need not be there. */
    if (source_read(path, &bytes, &unheard) < 0)
        return NULL;
    CLEANUP(free) char *public = public_name(path, kind == PUBLISHED_ENV ? "env" : "yaml");
    if (kind == PUBLISHED_BASE && !strv_contains(&publisher->bases, path))
        strv_add(&publisher->bases, path);
    if (kind == PUBLISHED_ENV && !is_known(publisher, public)) {
        struct published_file *file = add_file(publisher, kind, xstrdup(public));

        str_add_bytes(&file->text, str_text(&bytes), bytes.length);
    }
    return TAKE(public);
}

static int publish_one(struct publisher *publisher, enum published_kind kind, const char *path,
                       char *name, struct error *err)
{
    struct publish_renames renames = { rename_file, publisher };
    CLEANUP(str_done) struct str text = {}, changed = {};
    CLEANUP(free) char *own = name;

    if (strcmp(path, "-") == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "standard input cannot be published: write it to a file");
    if (source_read(path, &text, err) < 0 ||
        publish_rewrite(str_text(&text), text.length, path, &renames, &changed, err) < 0)
        return -1;
    struct published_file *file = add_file(publisher, kind, TAKE(own));
    file->text = changed;
    changed = (struct str){};
    return 0;
}

int publish_files(const struct project *project, struct published_files *out, struct error *err)
{
    struct publisher publisher = { .project = project,
                                   .out = out,
                                   .directory = project->directory };
    int result = 0;

    for (size_t i = 0; result == 0 && i < project->files.count; i++) {
        const char *path = project->files.items[i];

        result = publish_one(&publisher, PUBLISHED_FILE, path, xstrdup(path_base(path)), err);
    }
    for (size_t i = 0; result == 0 && i < publisher.bases.count; i++) {
        CLEANUP(free) char *path = xstrdup(publisher.bases.items[i]);
        CLEANUP(free) char *directory = xstrndup(path, (size_t)(path_base(path) - path));

        publisher.directory = directory;
        result = publish_one(&publisher, PUBLISHED_BASE, path, public_name(path, "yaml"), err);
    }
    strv_done(&publisher.bases);
    return result;
}
