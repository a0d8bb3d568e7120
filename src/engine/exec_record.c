/* One row per exec; nothing here needs to be on disk at once, for an exec never outlives the
 * machine. */
#include "engine/exec_record.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

const char exec_record_schema[] =
    "CREATE TABLE exec(id TEXT PRIMARY KEY, container_id TEXT NOT NULL, config TEXT NOT NULL, "
    "is_started INTEGER NOT NULL, pid INTEGER NOT NULL, exit_code INTEGER NOT NULL, ended_ns "
    "INTEGER NOT NULL) WITHOUT ROWID;";

int exec_record_add(struct database *record, const struct exec_info *info, struct error *err)
{
    CLEANUP(str_done) struct str config = {};

    json_encode(exec_config_fields, &info->config, &config);
    return database_run(record, err, "INSERT INTO exec VALUES(?1, ?2, ?3, 0, 0, 0, 0)", "sss",
                        info->id, info->container_id, str_text(&config)) < 0
               ? -1
               : 0;
}

int exec_record_claim(struct database *record, const char *id, struct error *err)
{
    return database_run(record, err, "UPDATE exec SET is_started = 1 WHERE id = ?1", "s", id) < 0
               ? -1
               : 0;
}

int exec_record_pid(struct database *record, const char *id, pid_t pid, struct error *err)
{
    return database_run(record, err, "UPDATE exec SET pid = ?2 WHERE id = ?1", "si", id,
                        (int64_t)pid) < 0
               ? -1
               : 0;
}

int exec_record_end(struct database *record, const char *id, int exit_code, int64_t ended_ns,
                    struct error *err)
{
    return database_run(record, err,
                        "UPDATE exec SET is_started = 1, exit_code = ?2, ended_ns = ?3 WHERE id = "
                        "?1",
                        "sii", id, (int64_t)exit_code, ended_ns) < 0
               ? -1
               : 0;
}

int exec_record_remove(struct database *record, const char *id, struct error *err)
{
    return database_run(record, err, "DELETE FROM exec WHERE id = ?1", "s", id) < 0 ? -1 : 0;
}

static int read_row(const struct query *query, struct exec_info **out, struct error *err)
{
    struct exec_info *info = NEW(struct exec_info);
    const char *config = query_text(query, 2);

    if (json_decode(exec_config_fields, config, strlen(config), &info->config, err) < 0) {
        free(info);
        return -1;
    }
    info->reference_count = 1;
    snprintf(info->id, sizeof(info->id), "%s", query_text(query, 0));
    snprintf(info->container_id, sizeof(info->container_id), "%s", query_text(query, 1));
    info->has_started = query_int64(query, 3) != 0;
    info->has_exited = query_int64(query, 6) != 0;
    info->is_running = info->has_started && !info->has_exited;
    info->pid = (pid_t)query_int64(query, 4);
    info->exit_code = (int)query_int64(query, 5);
    *out = info;
    return 0;
}

int exec_record_load(struct database *record, int64_t old_ns,
                     void (*take)(void *data, struct exec_info *info, int64_t ended_ns), void *data,
                     struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int row;

    if (database_run(record, err,
                     "DELETE FROM exec WHERE container_id NOT IN (SELECT id FROM container) OR "
                     "(ended_ns > 0 AND ended_ns < ?1)",
                     "i", old_ns) < 0 ||
        database_query(record, &query, err,
                       "SELECT id, container_id, config, is_started, pid, exit_code, ended_ns FROM "
                       "exec",
                       "") < 0)
        return -1;
    while ((row = query_next(query, err)) > 0) {
        struct exec_info *info;

        if (read_row(query, &info, err) < 0)
            return -1;
        take(data, info, query_int64(query, 6));
    }
    return row;
}
