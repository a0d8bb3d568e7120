/* Execs in the record: they run on while the engine is away, so the next one has to know them. A
 * row is there from the creation of an exec until it is forgotten. */
#ifndef BERTH_ENGINE_EXEC_RECORD_H
#define BERTH_ENGINE_EXEC_RECORD_H

#include "engine/exec.h"
#include "record/database.h"

extern const char exec_record_schema[];

int exec_record_add(struct database *record, const struct exec_info *info, struct error *err);
/* Before the supervisor is asked: after a crash nobody starts it a second time. */
int exec_record_claim(struct database *record, const char *id, struct error *err);
int exec_record_pid(struct database *record, const char *id, pid_t pid, struct error *err);
int exec_record_end(struct database *record, const char *id, int exit_code, int64_t ended_ns,
                    struct error *err);
int exec_record_remove(struct database *record, const char *id, struct error *err);

/* All that are worth knowing: those of containers that are gone, and those that ended before
 * 'old_ns', are removed. 'take' gets each one (its own from then on) with the time of its end, 0
 * for one that has not ended. */
int exec_record_load(struct database *record, int64_t old_ns,
                     void (*take)(void *data, struct exec_info *info, int64_t ended_ns), void *data,
                     struct error *err);

#endif
