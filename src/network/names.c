/* Changing a table and replacing its file is one step for all: the last one who changes something
 * writes last. What is added or dropped was recorded before, so reading the record at any time
 * gives nothing else. */
#include "network/names.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "network/internal.h"
#include "spec/names.h"

#include "base/banned.h"

#define TABLE_LIMIT ((size_t)64 << 20)

bool network_has_names(const struct network *network)
{
    return !network_name_is_predefined(network->name);
}

char *network_names_path(struct networks *networks, const char *network_id)
{
    return path_join(networks->names_path, network_id);
}

void names_free(void *table)
{
    str_done(table);
    free(table);
}

static void add_line(struct str *table, const struct endpoint_row *row)
{
    if (!text_is_empty(row->names))
        name_table_add(table, row->endpoint.address, row->endpoint.address6, row->names);
}

static int make_table(struct networks *networks, const char *network_id, struct str *out,
                      struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};

    if (record_endpoints(networks, network_id, NULL, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++)
        add_line(out, &rows.items[i]);
    return 0;
}

static int write_locked(struct networks *networks, const char *network_id, const struct str *table,
                        struct error *err) REQUIRES(networks->names_lock)
{
    CLEANUP(free) char *path = network_names_path(networks, network_id);

    return file_write_atomic(path, str_text(table), table->length, 0600, false, err);
}

/* From the record. */
static int load_locked(struct networks *networks, const char *network_id, struct error *err)
    REQUIRES(networks->names_lock)
{
    struct str *table = NEW(struct str);

    if (make_table(networks, network_id, table, err) < 0) {
        names_free(table);
        return -1;
    }
    map_set(&networks->names, network_id, table);
    return write_locked(networks, network_id, table, err);
}

int names_write(struct networks *networks, const char *network_id, struct error *err)
{
    CLEANUP(network_unref) struct network *network = networks_get(networks, network_id);
    int result = 0;

    mutex_lock(&networks->names_lock);
    if (network && network_has_names(network))
        result = load_locked(networks, network_id, err);
    mutex_unlock(&networks->names_lock);
    return result;
}

/* Where the line begins, NULL if there is none of that text. */
static char *find_line(const struct str *table, const struct str *line)
{
    const char *at = str_text(table);

    while ((at = strstr(at, str_text(line))) && at != table->data && at[-1] != '\n')
        at++;
    return (char *)at;
}

static int change(struct networks *networks, const struct endpoint_row *row, bool add,
                  struct error *err) REQUIRES(networks->names_lock)
{
    const char *network_id = row->endpoint.network_id;
    struct str *table = map_get(&networks->names, network_id);
    CLEANUP(str_done) struct str line = {};
    char *found;

    if (!table)
        return load_locked(networks, network_id, err);
    add_line(&line, row);
    found = line.length > 0 ? find_line(table, &line) : NULL;
    if (line.length == 0 || (found != NULL) == add)
        return 0;
    if (add) {
        str_add(table, str_text(&line));
    } else {
        size_t behind = table->length - (size_t)(found - table->data) - line.length;

        memmove(found, found + line.length, behind);
        str_cut(table, table->length - line.length);
    }
    return write_locked(networks, network_id, table, err);
}

static int names_change(struct networks *networks, const struct endpoint_row *row, bool add,
                        struct error *err)
{
    CLEANUP(network_unref)
    struct network *network = networks_get(networks, row->endpoint.network_id);
    int result = 0;

    mutex_lock(&networks->names_lock);
    if (network && network_has_names(network))
        result = change(networks, row, add, err);
    mutex_unlock(&networks->names_lock);
    return result;
}

int names_add(struct networks *networks, const struct endpoint_row *row, struct error *err)
{
    return names_change(networks, row, true, err);
}

int names_drop(struct networks *networks, const struct endpoint_row *row, struct error *err)
{
    return names_change(networks, row, false, err);
}

void names_remove(struct networks *networks, const char *network_id)
{
    CLEANUP(free) char *path = network_names_path(networks, network_id);

    mutex_lock(&networks->names_lock);
    map_remove(&networks->names, network_id);
    unlink(path);
    mutex_unlock(&networks->names_lock);
}

static void remove_strays(struct networks *networks)
{
    DIR *directory = opendir(networks->names_path);

    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        CLEANUP(network_unref) struct network *network = networks_get(networks, entry->d_name);

        if (!network && entry->d_name[0] != '.')
            names_remove(networks, entry->d_name);
    }
    if (directory)
        closedir(directory);
}

int names_write_all(struct networks *networks, struct error *err)
{
    struct network **list;
    size_t count;
    int result = 0;

    remove_strays(networks);
    if (network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count && result == 0; i++)
        result = names_write(networks, list[i]->id, err);
    network_list_free(list, count);
    return result;
}

/* The order of lines is that in which they came. */
static bool is_same(const struct str *a, const struct str *b)
{
    CLEANUP(strv_done) struct strv lines_a = {}, lines_b = {};
    bool same;

    strv_split(&lines_a, str_text(a), '\n');
    strv_split(&lines_b, str_text(b), '\n');
    strv_sort(&lines_a);
    strv_sort(&lines_b);
    same = lines_a.count == lines_b.count;
    for (size_t i = 0; same && i < lines_a.count; i++)
        same = strcmp(lines_a.items[i], lines_b.items[i]) == 0;
    return same;
}

static int verify_one(struct networks *networks, const struct network *network, struct strv *out,
                      struct error *err)
{
    CLEANUP(free) char *path = network_names_path(networks, network->id);
    CLEANUP(str_done) struct str wanted = {}, found = {};
    int result;

    mutex_lock(&networks->names_lock);
    result = make_table(networks, network->id, &wanted, err);
    if (result == 0 && file_read(path, TABLE_LIMIT, &found, NULL) < 0)
        strv_add_format(out, "network %s: its table of names is missing", network->name);
    else if (result == 0 && !is_same(&wanted, &found))
        strv_add_format(out, "network %s: its table of names is not as recorded", network->name);
    mutex_unlock(&networks->names_lock);
    return result;
}

int names_verify(struct networks *networks, struct strv *out, struct error *err)
{
    struct network **list;
    size_t count;
    int result = 0;

    if (network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count && result == 0; i++)
        if (network_has_names(list[i]))
            result = verify_one(networks, list[i], out, err);
    network_list_free(list, count);
    return result;
}
