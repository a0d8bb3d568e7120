/* Bearer tokens (RFC 7519) of a token service, as Docker's registries take them: signed, for us, in
 * time, and with a list of what they allow. */
#ifndef BERTH_DISTRIBUTION_TOKEN_H
#define BERTH_DISTRIBUTION_TOKEN_H

#include <stdint.h>

#include "codec/jwk.h"

enum { TOKEN_SIZE_LIMIT = 32 * 1024 };

struct token_grant {
    char *type, *name;
    unsigned int actions; /* bits of enum action (distribution/access.h) */
};

struct token {
    char *subject; /* may be NULL */
    struct token_grant *grants;
    size_t grant_count;
};

struct token_trust {
    const struct jwk_set *keys; /* NULL: signatures are not looked at (fuzzing) */
    const char *issuer, *service;
};

/* UNAUTHORIZED with what is wrong. 'now_s' since 1970. */
int token_read(const char *text, const struct token_trust *trust, int64_t now_s, struct token *out,
               struct error *err);
void token_done(struct token *token);
CLEANUP_VALUE(token_done, struct token)

#endif
