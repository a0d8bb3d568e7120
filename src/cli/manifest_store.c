#include "cli/manifest_store.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "cli/settings.h"

#include "base/banned.h"

#define DOCUMENT_LIMIT ((size_t)16 << 20)

/* "docker.io_library_x-1": no '/' is left, so that a name is one component. */
static char *file_name(const struct reference *reference)
{
    char *name = reference_canonical(reference);

    for (char *c = name; *c; c++)
        *c = *c == ':' ? '-' : *c == '/' ? '_' : *c;
    return name;
}

static char *list_path(const struct reference *list)
{
    CLEANUP(free) char *top = path_join(settings_directory(), "manifests");
    CLEANUP(free) char *name = file_name(list);

    return path_join(top, name);
}

bool manifest_store_has(const struct reference *list)
{
    CLEANUP(free) char *path = list_path(list);

    return file_exists(path);
}

static int read_document(const char *path, struct json **out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read(path, DOCUMENT_LIMIT, &text, err) < 0)
        return -1;
    if (json_parse(str_text(&text), text.length, out, err) < 0)
        return error_context(err, "%s", path);
    return 0;
}

static int list_names(const char *path, struct strv *out, struct error *err)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir)
        return error_sys(err, "read %s", path);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            strv_add(out, entry->d_name);
    closedir(dir);
    strv_sort(out);
    return 0;
}

struct json **manifest_store_all(const struct reference *list, size_t *out_count, struct error *err)
{
    CLEANUP(free) char *path = list_path(list);
    CLEANUP(strv_done) struct strv names = {};

    if (list_names(path, &names, err) < 0)
        return NULL;
    struct json **all = xcalloc(names.count + 1, sizeof(struct json *));
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free) char *one = path_join(path, names.items[i]);

        if (read_document(one, &all[i], err) == 0)
            continue;
        for (size_t k = 0; k < i; k++)
            json_free(all[k]);
        free(all);
        return NULL;
    }
    *out_count = names.count;
    return all;
}

int manifest_store_get(const struct reference *list, const struct reference *manifest,
                       struct json **out, struct error *err)
{
    CLEANUP(free) char *directory = list_path(list);
    CLEANUP(free) char *name = file_name(manifest);
    CLEANUP(free) char *path = path_join(directory, name);

    return read_document(path, out, err);
}

int manifest_store_put(const struct reference *list, const struct reference *manifest,
                       const struct str *document, struct error *err)
{
    CLEANUP(free) char *directory = list_path(list);
    CLEANUP(free) char *name = file_name(manifest);
    CLEANUP(free) char *path = path_join(directory, name);

    if (dir_make(directory, 0700, err) < 0)
        return -1;
    return file_write_atomic(path, document->data, document->length, 0600, false, err);
}

int manifest_store_remove(const struct reference *list, struct error *err)
{
    CLEANUP(free) char *path = list_path(list);

    return tree_remove(path, err);
}
