/* What ADD brings from elsewhere: files by URL, Git repositories. */
#ifndef BERTH_BUILD_REMOTE_H
#define BERTH_BUILD_REMOTE_H

#include "build/job.h"
#include "git/git.h"

/* http:// or https:// that is no Git repository. */
bool remote_is_url(const char *text);

struct remote {
    bool is_git;
    char *url;
    char *name;     /* of the file: the last part of the URL's path; NULL: it has none */
    char *checksum; /* "sha256:…", NULL: any */
    struct git_source git;
    char digest[DIGEST_SIZE]; /* of the file, or "commit:<hex>" of a repository; once it is known */
    char *path;               /* of the file, or of the checkout, once it was fetched */
};
void remote_done(struct remote *remote);
CLEANUP_VALUE(remote_done, struct remote)

/* INVALID. */
int remote_read(const char *text, const char *checksum, bool keeps_git_dir, struct remote *out,
                struct error *err);

/* Makes the digest known: with as little traffic as the server allows. What is fetched lies below
 * 'directory'. */
int remote_look(struct builder *builder, struct remote *remote, const char *directory,
                int cancel_fd, struct error *err);

/* Makes sure that the files are there. */
int remote_fetch(struct builder *builder, struct remote *remote, const char *directory,
                 int cancel_fd, struct error *err);

#endif
