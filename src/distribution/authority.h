/* Who a client is, and what it may do: by a file of passwords and rules, or by the tokens of a
 * token service. Without either everybody may do everything that rules do not withhold. */
#ifndef BERTH_DISTRIBUTION_AUTHORITY_H
#define BERTH_DISTRIBUTION_AUTHORITY_H

#include "distribution/access.h"
#include "distribution/problem.h"
#include "distribution/token.h"

struct authority_options {
    const char *htpasswd_path, *realm;
    const char *token_realm, *token_service, *token_issuer, *token_keys_path;
    const char *rules_path; /* not with tokens: those say themselves what they allow */
};

struct authority;
int authority_new(const struct authority_options *options, struct authority **out,
                  struct error *err);
/* Reads the files again; on failure all stays as it was. */
int authority_reload(struct authority *authority, struct error *err);
void authority_free(struct authority *authority);
CLEANUP_POINTER(authority_free, struct authority)

struct subject {
    char *user;         /* NULL: not known */
    struct token token; /* if it came with one */
    bool has_token;
};
void subject_done(struct subject *subject);
CLEANUP_VALUE(subject_done, struct subject)

/* Reads an Authorization header (NULL: none). UNAUTHORIZED if it is wrong. */
int authority_identify(struct authority *authority, const char *header, struct subject *out,
                       struct problem *problem);
/* UNAUTHORIZED if another one might, DENIED. 'repository' NULL for the catalog. */
int authority_check(struct authority *authority, const struct subject *subject,
                    const char *repository, enum action action, struct problem *problem);
/* The WWW-Authenticate header that goes with UNAUTHORIZED; yours, NULL if there is none. */
char *authority_challenge(struct authority *authority, const struct subject *subject,
                          const char *repository, enum action action);

#endif
