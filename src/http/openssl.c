/* When a process ends, OpenSSL frees what it keeps for each thread, and takes it for granted that
 * there is only one left. Our detached threads may be ending at that moment, in OpenSSL's own
 * clean-up of a thread: then both free the same. The kernel takes it all back anyway. */
#include "http/openssl.h"

#include <dlfcn.h>
#include <openssl/crypto.h>

#include "base/banned.h"

void openssl_keep(void *handle)
{
    __typeof__(OPENSSL_init_crypto) *init = (__typeof__(init))dlsym(handle, "OPENSSL_init_crypto");

    if (init) /* Who begins it first decides. */
        init(OPENSSL_INIT_NO_ATEXIT, NULL);
}
