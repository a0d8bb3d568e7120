/* Build arguments: what the caller gave, what the file declares, and which of them an instruction
 * sees. */
#ifndef BERTH_BUILD_ARGS_H
#define BERTH_BUILD_ARGS_H

#include <stdbool.h>

#include "base/map.h"
#include "base/strv.h"
#include "build/instruction.h"
#include "spec/platform.h"

struct build_args {
    const struct map *given; /* --build-arg: texts, NULL for a name without value; may be NULL */
    struct map global;       /* ARG before the first FROM, and the platform's */
    struct map declared;     /* ARG in this stage: default texts, NULL for none; not what an ENV
                              * has named since */
};

/* 'target' is what is built for; NULL: this machine. */
void build_args_init(struct build_args *args, const struct map *given,
                     const struct platform *target);
/* The arguments of a new stage: the same globals, nothing declared. */
void build_args_begin_stage(struct build_args *out, const struct build_args *args);
void build_args_done(struct build_args *args);
CLEANUP_VALUE(build_args_done, struct build_args)

/* Those that the stage below has declared are declared in the one that stands on it. */
void build_args_inherit(struct build_args *out, const struct build_args *args);

/* One expanded argument of ARG ("X", "X=1"). Without a default it changes nothing where there is
 * one, but for that of a global. */
void build_args_declare(struct build_args *args, const char *text);
void build_args_declare_global(struct build_args *args, const char *text);
/* An ARG before the first FROM: each of its arguments sees those in front of it. */
int build_args_declare_globals(struct build_args *args, const struct instruction *instruction,
                               char escape, struct error *err);

/* NAME=value of all globals that have a value: what FROM and global ARGs expand with. */
void build_args_globals(const struct build_args *args, struct strv *out);

/* ENV: its value counts from now on. */
void build_args_hide(struct build_args *args, const char *name);

/* NAME=value of the arguments that a stage sees, sorted; they count more than its environment.
 * Given proxies that 'environment' does not have are among them unless only what was declared is
 * asked for. */
void build_args_visible(const struct build_args *args, const struct strv *environment,
                        bool only_declared, struct strv *out);

/* The names given that no ARG of 'declared_names' mentions, sorted. */
void build_args_unused(const struct build_args *args, const struct strv *declared_names,
                       struct strv *out);

#endif
