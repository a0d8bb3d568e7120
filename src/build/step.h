/* One instruction carried out on a stage. */
#ifndef BERTH_BUILD_STEP_H
#define BERTH_BUILD_STEP_H

#include "build/job.h"

/* Expands the instruction, and takes its result from the cache or makes it. */
int step_carry_out(struct job *job, size_t stage_index, const struct instruction *instruction,
                   struct error *err);

/* LABEL with arguments that are final. */
int step_label(struct job *job, struct stage *stage, const struct instruction *instruction,
               struct error *err);

/* ---- for the steps that change files ---- */

/* 1: the cache knew the step, the stage is what it had left; 0: it has to be made. 'created_by'
 * tells the step wholly to those who know only histories; NULL: it does not. */
int step_probe(struct job *job, struct stage *stage, const char *key, const char *created_by,
               struct error *err);

/* Adds the step to the stage and the cache; 'layer' NULL: it changed no files. */
int step_finish(struct job *job, struct stage *stage, const char *key, const char *created_by,
                const struct layer *layer, struct error *err);

/* Makes what changed in 'writable' (consumed) a layer over the stage: 1; 0 if nothing changed.
 * 'known': as for store_layer_commit. */
int step_make_layer(struct job *job, struct stage *stage, struct writable *writable,
                    const struct layer_contents *known, struct layer *out, struct error *err);

int step_copy(struct job *job, size_t stage_index, const struct instruction *instruction,
              const struct strv *arguments, const struct strv *environment, struct error *err);
int step_run(struct job *job, size_t stage_index, const struct instruction *instruction,
             struct error *err);

/* How far file systems' clocks may be behind. */
#define TIMES_SLACK_NS (20 * NS_PER_MS)

/* Times that do not tell when the step was carried out: of directories that copying made or put
 * something in; and with SOURCE_DATE_EPOCH, of everything that is newer. */
int times_settle_copy(struct job *job, const struct stage *stage, const struct writable *writable,
                      int64_t began_ns, struct error *err);
int times_settle(struct job *job, const struct writable *writable, struct error *err);

#endif
