/* The stages of a Dockerfile and what each needs of the others. */
#ifndef BERTH_BUILD_GRAPH_H
#define BERTH_BUILD_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "build/args.h"
#include "build/parse.h"

#define NO_STAGE SIZE_MAX

struct build_stage {
    const struct instruction *from;
    const struct instruction *steps; /* behind the FROM; borrowed from the file */
    size_t step_count;
    char *name;        /* lower case, NULL: none */
    char *base;        /* expanded name of a stage or image; "scratch" */
    size_t base_stage; /* NO_STAGE: base is an image */
    char *platform;    /* of the base, "linux/arm64"; NULL: that of the build */
    bool is_needed;
    bool *needs; /* one per stage in front of it: its base, and the sources of COPY and mounts */
};

struct build_graph {
    struct build_stage *stages;
    size_t count;
    size_t global_count; /* ARGs before the first FROM: the first instructions of the file */
    const struct instruction *failed_at; /* the instruction that was wrong */
    const struct map *contexts;          /* names that mean neither stage nor image; may be NULL */
};

/* Divides the file, which must outlive the graph. INVALID "no build stage in current context". */
int graph_make(const struct dockerfile *file, struct build_graph *out, struct error *err);
void graph_done(struct build_graph *graph);
CLEANUP_VALUE(graph_done, struct build_graph)

/* The stage that a target names (name or number; NULL or "": the last). INVALID 'target stage "x"
 * could not be found'. */
int graph_find_target(const struct build_graph *graph, const char *target, size_t *out,
                      struct error *err);

/* Expands the FROM lines with the global arguments and marks what 'target' needs. */
int graph_resolve(struct build_graph *graph, size_t target, const struct build_args *args,
                  char escape, struct error *err);

/* Marks what an instruction of the stage needs: --from of COPY and of mounts. */
int graph_mark(struct build_graph *graph, size_t index, const struct instruction *instruction,
               struct error *err);

/* The stage in front of 'before' that COPY --from=<name> means: by number or name; NO_STAGE if it
 * is something else. INVALID for a number that is none of them. */
int graph_find_source(const struct build_graph *graph, size_t before, const char *name, size_t *out,
                      struct error *err);

/* Nothing of the name is there: adds the stage in front of 'before' that may have been meant. */
void graph_suggest(const struct build_graph *graph, size_t before, const char *name,
                   struct error *err);

/* A platform to build for ("linux/arm64", "arm64", "local"); "" or NULL is this machine.
 * UNSUPPORTED for other systems than Linux. */
int graph_read_platform(const char *text, struct platform *out, struct error *err);

#endif
