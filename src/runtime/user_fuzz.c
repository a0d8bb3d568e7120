/* Bytes of an image as passwd and group, and a user to be found there: the three parts lie behind
 * each other with a NUL between. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/user.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(user_identity_done) struct user_identity found = {};
    CLEANUP(free) char *text = xcalloc(size + 3, 1), *name = NULL, *passwd = NULL;
    struct error err = {};

    if (size)
        memcpy(text, data, size);
    name = xstrdup(text);
    passwd = xstrdup(text + MIN(strlen(name) + 1, size));
    const char *group = text + MIN(strlen(name) + strlen(passwd) + 2, size);
    struct runtime_user user = { .username = name };
    if (user_resolve(&user, passwd, group, &found, &err) == 0 &&
        (!found.home || !found.group_count))
        abort();
    return 0;
}
