/* Why something failed: a kind (what a caller can decide on), an errno, and a text for a person. An
 * error lives on the caller's stack; nothing is to be freed. Functions that can fail take one as
 * last parameter and return -1 (or NULL). */
#ifndef BERTH_BASE_ERROR_H
#define BERTH_BASE_ERROR_H

#include "base/macros.h"

#define ERROR_KINDS(X)                                                                             \
    X(NONE)                                                                                        \
    X(INVALID)      /* the caller asked for something that makes no sense */                       \
    X(UNAUTHORIZED) /* who are you? */                                                             \
    X(FORBIDDEN)    /* you may not */                                                              \
    X(NOT_FOUND)                                                                                   \
    X(CONFLICT)     /* the object's state does not allow it */                                     \
    X(NOT_MODIFIED) /* it is so already */                                                         \
    X(UNAVAILABLE)  /* not now, or not here */                                                     \
    X(CANCELLED)                                                                                   \
    X(UNSUPPORTED) /* berth, or this kernel, cannot do it */                                       \
    X(INTERNAL)

enum error_kind {
#define X(name) ERROR_##name,
    ERROR_KINDS(X)
#undef X
};

#define ERROR_TEXT_SIZE 1024

struct error {
    enum error_kind kind;
    int sys; /* errno, 0 if the kernel was not asked */
    char text[ERROR_TEXT_SIZE];
};

/* Fills 'err' (NULL is allowed) and returns -1. A text that does not fit is cut at a whole
 * character. */
int error_set(struct error *err, enum error_kind kind, const char *format, ...) PRINTF(3, 4);

/* The same for a failed system call: INTERNAL, errno kept, text "<format>: <strerror>". */
int error_sys(struct error *err, const char *format, ...) PRINTF(2, 3);

/* Puts "<format>: " in front of the text that is there. Returns -1. */
int error_context(struct error *err, const char *format, ...) PRINTF(2, 3);

/* Puts "<format>" behind the text that is there, which loses its own end if both do not fit.
 * Returns -1. */
int error_add(struct error *err, const char *format, ...) PRINTF(2, 3);

/* "NOT_FOUND" and so on. */
const char *error_kind_name(enum error_kind kind);

/* The kind of that name; INTERNAL for an unknown one. For errors that come over a wire. */
enum error_kind error_kind_from_name(const char *name);

#endif
