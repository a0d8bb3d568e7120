/* A compose project: the whole of its files as one canonical tree (compose/schema.c), with the
 * environment that it was read in. */
#ifndef BERTH_COMPOSE_PROJECT_H
#define BERTH_COMPOSE_PROJECT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"
#include "codec/yaml.h"

enum { SCALE_LIMIT = 10000 }; /* containers of one service */

/* Files that are elsewhere: in git repositories, in registries. */
struct remote_files {
    bool (*is_remote)(const char *name);
    /* Brings it here, with what belongs to it beside it; '*out_path' is absolute and yours. */
    int (*fetch)(void *data, const char *name, char **out_path, struct error *err);
    void *data;
};

struct project {
    char *name;
    char separator;      /* between the parts of names of containers and images: '-', or '_' as old
                            versions had it */
    char *directory;     /* absolute; relative paths start here */
    struct strv files;   /* absolute paths, in the order of merging */
    struct strv remotes; /* names of those among them that were fetched */
    struct strv env_files;  /* that were read for variables */
    struct map environment; /* what variables stand for: ours over the .env files */
    struct yaml *model;     /* name, services, networks, volumes, secrets, configs, x-… */
    struct yaml *disabled;  /* services that no active profile names */
    struct strv warnings;   /* for the user */
    struct strv texts;      /* names of files that trees point to */
};

struct project_options {
    struct strv files, profiles,
        env_files;                /* as given; empty: the environment and the defaults decide */
    const char *directory, *name; /* NULL: not given */
    struct remote_files remotes;  /* zero: none can be had */
    struct strv services;         /* named by the user: their profiles are active */
    bool keeps_unused;  /* networks, volumes, secrets and configs that no service uses stay */
    bool compatibility; /* names are joined with '_' */
    bool no_interpolate, no_path_resolution, no_env_resolution, no_normalize, no_consistency;
};

/* Finds and reads the files. NOT_FOUND "no configuration file provided: not found", INVALID with
 * file, key and line for what is wrong in them. */
int project_load(const struct project_options *options, struct project *out, struct error *err);

/* Only what is known without files (name, directory, environment); for commands that work by
 * labels. */
int project_load_name(const struct project_options *options, struct project *out,
                      struct error *err);

void project_done(struct project *project);
CLEANUP_VALUE(project_done, struct project)

/* NULL if there is none (of that name that is enabled). */
struct yaml *project_service(const struct project *project, const char *name);
/* One that no profile or selection left enabled is found, too. */
const struct yaml *project_any_service(const struct project *project, const char *name);
/* "<project>-<service>" unless the file says otherwise. Yours. */
char *project_image_name(const struct project *project, const char *service);
/* The name of a service's container, "<project>-<service>-<number>" unless the file says otherwise.
 * Yours. */
char *project_container_name(const struct project *project, const char *service, int number);
/* How many containers a service wants: scale, deploy.replicas, or 1. */
int project_scale(const struct yaml *service);

/* Lower-cases, keeps [a-z0-9_-], begins with a letter or digit. Yours, "" if nothing is left. */
char *project_name_normalize(const char *text);

/* Keeps the named services and what they depend on (unless 'no_dependencies'); all if there are
 * none. NOT_FOUND "no such service: x". */
int project_select(struct project *project, const struct strv *names, bool no_dependencies,
                   struct error *err);

/* The file of a standard name (compose.yaml …) that the directory has; NULL: none. Yours. */
char *project_file_in(const char *directory);

#endif
