/* Git repositories as sources: of a whole context, of ADD, of compose files. The host's git does
 * the work and never asks anything: for the daemon with nothing of the user's or the system's
 * configuration, for a user who fetches for himself ('as_user') with what he has set up. */
#ifndef BERTH_GIT_GIT_H
#define BERTH_GIT_GIT_H

#include <stdbool.h>

#include "base/error.h"

#define GIT_COMMIT_SIZE 72 /* hex digits of a commit and NUL */

struct git_source {
    char *url;
    char *reference;    /* branch, tag, ref or commit; NULL: the default branch */
    char *subdirectory; /* NULL: all */
    char *checksum;     /* commit that it has to be (may be cut short); NULL: any */
    bool keeps_git_dir;
    bool as_user; /* with the environment, configuration and keys of who runs this */
};
void git_source_done(struct git_source *source);
CLEANUP_VALUE(git_source_done, struct git_source)

/* Does the text name a repository: git@…, git://…, ssh://…, github.com/…, or http(s)://….git, each
 * with "#ref:subdir" or "?ref=…&subdir=…" behind it? */
bool git_is_source(const char *text);

/* INVALID for a reference that no repository can have, or an unknown key of the query. */
int git_source_read(const char *text, struct git_source *out, struct error *err);

/* The commit that the reference stands for now. NOT_FOUND; INVALID if it is not what 'checksum'
 * says. */
int git_resolve(const struct git_source *source, int cancel_fd, char out_commit[GIT_COMMIT_SIZE],
                struct error *err);

/* Checks the commit out into an empty directory, submodules included. Files are 0644 or 0755 and as
 * old as the commit. The subdirectory is not cut out: the caller looks it up, in the root of the
 * checkout. */
int git_checkout(const struct git_source *source, const char *commit, const char *directory_path,
                 int cancel_fd, struct error *err);

#endif
