/* Reading the record and replacing the file is one step for all: the last one who changes something
 * writes last. */
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

static int make_table(struct networks *networks, const char *network_id, struct str *out,
                      struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};

    if (record_endpoints(networks, network_id, NULL, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++)
        if (!text_is_empty(rows.items[i].names))
            name_table_add(out, rows.items[i].endpoint.address, rows.items[i].endpoint.address6,
                           rows.items[i].names);
    return 0;
}

static int write_locked(struct networks *networks, const char *network_id, struct error *err)
    REQUIRES(networks->names_lock)
{
    CLEANUP(free) char *path = network_names_path(networks, network_id);
    CLEANUP(str_done) struct str table = {};

    if (make_table(networks, network_id, &table, err) < 0)
        return -1;
    return file_write_atomic(path, str_text(&table), table.length, 0600, false, err);
}

int names_write(struct networks *networks, const char *network_id, struct error *err)
{
    CLEANUP(network_unref) struct network *network = networks_get(networks, network_id);
    int result = 0;

    mutex_lock(&networks->names_lock);
    if (network && network_has_names(network))
        result = write_locked(networks, network_id, err);
    mutex_unlock(&networks->names_lock);
    return result;
}

void names_remove(struct networks *networks, const char *network_id)
{
    CLEANUP(free) char *path = network_names_path(networks, network_id);

    unlink(path);
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
    else if (result == 0 && strcmp(str_text(&wanted), str_text(&found)) != 0)
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
