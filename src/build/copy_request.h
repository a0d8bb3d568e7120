/* What one COPY or ADD asks for: its flags and its sources, each where it comes from. */
#ifndef BERTH_BUILD_COPY_REQUEST_H
#define BERTH_BUILD_COPY_REQUEST_H

#include "build/contents.h"
#include "build/copy.h"
#include "build/job.h"
#include "build/remote.h"

struct copy_part {
    enum { PART_TREE, PART_INLINE, PART_REMOTE } kind;
    const char *argument;
    int root_fd;            /* borrowed for PART_TREE, owned otherwise; -1: not there yet */
    struct sources sources; /* once they were looked for */
    struct remote remote;
    char *directory; /* of ours, for what is not in a tree; NULL */
};

struct copy_request {
    const char *word; /* "COPY" */
    struct strv arguments;
    const char *target;
    struct str owner, mode, checksum;
    bool is_linked, keeps_parents, keeps_git_dir;
    int unpacks; /* -1: as it is usual for the source */
    struct dockerignore *excludes;
    struct strv exclude_patterns;
    bool is_context; /* sources are looked up in the build's context */
    struct job_tree tree;
    struct copy_part *parts;
    size_t count;
    struct writable scratch; /* holds the directories of parts; top_path NULL: none was needed */
};
void copy_request_done(struct job *job, struct copy_request *request);

int copy_request_read(struct job *job, size_t stage_index, const struct instruction *instruction,
                      const struct strv *arguments, const struct strv *environment,
                      struct copy_request *out, struct error *err);

/* "file:<hex>" and so on, over all sources; NULL for an error. */
char *copy_request_digest(struct job *job, struct copy_request *request, struct error *err);

/* Finds and fetches what was not necessary for the digest. */
int copy_request_prepare(struct job *job, struct copy_request *request, struct error *err);

/* Copies everything into the root, changes of which go to the directory 'diff_path'. What is known
 * of files there is added to 'contents'. */
int copy_request_carry_out(struct job *job, const struct stage *stage,
                           const struct copy_request *request, const char *diff_path,
                           int target_root_fd, int accounts_root_fd, struct contents *contents,
                           struct error *err);

/* The flags and arguments as the history has them, 'digest' standing for the sources. */
char *copy_request_text(const struct copy_request *request, const char *digest);

#endif
