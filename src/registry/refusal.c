/* {"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":…}]} */
#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "registry/auth.h"
#include "registry/challenge.h"

#include "base/banned.h"

/* clang-format off */
static const struct { const char *code; enum error_kind kind; } codes[] = {
    { "BLOB_UNKNOWN",          ERROR_NOT_FOUND    },
    { "BLOB_UPLOAD_UNKNOWN",   ERROR_NOT_FOUND    },
    { "MANIFEST_BLOB_UNKNOWN", ERROR_INVALID      },
    { "MANIFEST_UNKNOWN",      ERROR_NOT_FOUND    },
    { "NAME_UNKNOWN",          ERROR_NOT_FOUND    },
    { "UNAUTHORIZED",          ERROR_UNAUTHORIZED },
    { "DENIED",                ERROR_FORBIDDEN    },
    { "TOOMANYREQUESTS",       ERROR_UNAVAILABLE  },
};
/* clang-format on */

/* "MANIFEST_UNKNOWN" → "manifest unknown". */
static char *code_words(const char *code)
{
    char *words = xstrdup(code);

    for (char *c = words; *c; c++)
        *c = *c == '_' ? ' ' : (char)tolower((unsigned char)*c);
    return words;
}

static enum error_kind kind_of(const char *code, int status)
{
    for (size_t i = 0; i < COUNT(codes); i++)
        if (strcmp(codes[i].code, code) == 0)
            return codes[i].kind;
    switch (status) {
    case 401:
        return ERROR_UNAUTHORIZED;
    case 403:
        return ERROR_FORBIDDEN;
    case 404:
        return ERROR_NOT_FOUND;
    case 408:
    case 429:
        return ERROR_UNAVAILABLE;
    default:
        return status >= 500 ? ERROR_UNAVAILABLE : ERROR_INVALID;
    }
}

/* RFC 6750: the token is fine, but not for this. */
static bool lacks_scope(const struct answer *answer)
{
    CLEANUP(challenges_done) struct challenges challenges = {};
    const char *header = answer_header(answer, "www-authenticate");

    if (!header || challenges_parse(header, &challenges, NULL) < 0)
        return false;
    const struct challenge *bearer = challenges_find(&challenges, "bearer");
    return bearer && strcmp(challenge_get(bearer, "error"), "insufficient_scope") == 0;
}

/* Control characters of a server have no business on a terminal. */
static void clean(char *text)
{
    for (; *text; text++)
        if (iscntrl((unsigned char)*text))
            *text = ' ';
}

int answer_error(const struct answer *answer, const char *what, struct error *err)
{
    CLEANUP(json_free) struct json *body = NULL;

    if (answer->status == 401 && lacks_scope(answer))
        return error_set(err, ERROR_FORBIDDEN,
                         "denied: requested access to the resource is denied");
    if (answer->body.length)
        (void)json_parse(answer->body.data, answer->body.length, &body, NULL);
    const struct json *first = json_at(json_get(body, "errors"), 0);
    const char *code = json_text(json_get(first, "code"));
    if (!code) {
        const char *details = json_text(json_get(body, "details"));

        if (answer->status == 401 || answer->status == 403)
            return error_set(err, kind_of("", answer->status), "%s",
                             details ? details
                             : answer->status == 401
                                 ? "unauthorized: authentication required"
                                 : "denied: requested access to the resource is "
                                   "denied");
        if (answer->status == 429)
            return error_set(err, ERROR_UNAVAILABLE,
                             "toomanyrequests: too many requests to registry");
        return error_set(err, kind_of("", answer->status),
                         "%s: received unexpected HTTP status: %d", what, answer->status);
    }
    CLEANUP(free) char *words = code_words(code);
    CLEANUP(free) char *message = xstrndup(json_text(json_get(first, "message")) ?: "", 500);
    clean(words);
    clean(message);
    return error_set(err, kind_of(code, answer->status), "%.100s: %s", words,
                     *message ? message : words);
}
