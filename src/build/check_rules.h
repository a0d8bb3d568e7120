/* What the rules know and how they speak; for the files of checks only. */
#ifndef BERTH_BUILD_CHECK_RULES_H
#define BERTH_BUILD_CHECK_RULES_H

#include "base/macros.h"
#include "build/check.h"

struct checker {
    const struct check_subject *subject;
    const struct dockerfile *file;
    const struct build_graph *graph;
    struct strv skipped, experiments; /* rules that do not speak, and those that do if asked */
    bool skips_all, has_all_experiments;
    struct check_findings *out;
    /* Of the stage that is looked at. */
    size_t stage;
    bool has_shell, has_absolute_workdir;
    const struct instruction *seen[INSTRUCTION_WORKDIR + 1]; /* the last one of a kind */
    struct strv globals;       /* names of ARGs in front of the first FROM */
    struct strv defaults;      /* NAME=value of those that have one by themselves… */
    bool has_defaults;         /* …if they could be expanded */
    struct strv *environments; /* one per stage: what ENV and the base set */
    bool *is_known;            /* is that all? not if the base is unknown */
};

/* A finding of that rule at that instruction, if the file wants to hear of it. */
void check_report(struct checker *checker, const char *rule, const struct instruction *at,
                  const char *format, ...) PRINTF(4, 5);

/* Words, keywords and names that are not written all in one case. */
void check_casing(struct checker *checker);
/* What an instruction says by itself, and after those before it. */
void check_instruction(struct checker *checker, const struct instruction *instruction);
/* The comment in front of a stage or an argument. */
void check_description(struct checker *checker, const struct instruction *instruction);
void check_from(struct checker *checker, const struct instruction *from);
/* Variables that nobody set. */
void check_variables(struct checker *checker, const struct instruction *instruction);
/* Notes those that an instruction sets. */
void check_note_variables(struct checker *checker, const struct instruction *instruction);

#endif
