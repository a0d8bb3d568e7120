/* The steps of project_load (load.c), a file each. Private to the loading. */
#ifndef BERTH_COMPOSE_LOAD_H
#define BERTH_COMPOSE_LOAD_H

#include "compose/project.h"

/* What one model (the project's, or an included one) is loaded with. */
struct loader {
    struct project *project;
    const struct project_options *options;
    const struct map *environment; /* for variables */
    int depth;                     /* of includes */
    /* What named the file that is read next, for messages; NULL: no other file did. */
    const struct yaml *origin;
    const struct spot *origin_spot;
};

/* source.c: finding things. Which files, which directory, what the environment says. */
int source_find(const struct project_options *options, struct project *project, bool needs_files,
                struct error *err);
/* Adds the variables of a .env file that are not set yet. 'is_required': NOT_FOUND if there is
 * none. */
int source_read_env(const char *path, bool is_required, struct map *environment, struct error *err);
/* The text of a file ("-": standard input). NOT_FOUND "open x: no such file or directory". */
int source_read(const char *path, struct str *out, struct error *err);

/* Where a file that another one names is: below 'directory', or fetched. Yours. */
int source_locate(const struct project_options *options, const char *name, const char *directory,
                  char **out_path, struct error *err);
/* Names that only remote_files can do something with. */
bool source_is_remote(const struct project_options *options, const char *name);

/* file.c: one file as trees that follow the tables: parsed, variables put in, checked, short forms
 * completed, paths absolute, "extends" resolved. */
int file_parse(struct loader *loader, const char *path, struct yaml **out_documents,
               struct error *err);
int file_finish(struct loader *loader, struct yaml *documents, const char *path,
                const char *directory, struct yaml **out, struct error *err);
/* The variables of this loader, and a warning for those that are missing. */
const char *loader_variable(void *loader, const char *name);
void loader_variable_missing(void *loader, const char *name);

/* include.c: adds what the model's "include" names. */
int include_apply(struct loader *loader, struct yaml *model, const char *directory,
                  struct error *err);

/* Files merged in order, with their includes. */
int model_load(struct loader *loader, const struct strv *paths, const char *directory,
               struct yaml **out, struct error *err);

/* normalize.c: defaults that depend on more than one key, names, environments, profiles. */
int normalize(struct loader *loader, struct error *err);
/* Moves services without an active profile to project->disabled. */
void normalize_profiles(struct project *project, const struct project_options *options);
/* Takes out networks, volumes, secrets and configs that no service uses. */
void normalize_unused(struct project *project);

/* check.c: what no single key can tell: references that lead nowhere, cycles, keys that exclude
 * each other. */
int check_project(const struct project *project, struct error *err);

#endif
